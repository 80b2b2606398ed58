"""What a benchmark needs to know of a sort of module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import hub_keras_bridge as hub


@dataclass(frozen=True)
class Twin:
    """A native Keras model that computes what a module computes.

    Attributes:
        model: the layers, without a head.
        variables: the module's TF1 name -> the twin's variable, of the same
            shape and meaning.
    """

    model: keras.Model
    variables: Mapping[str, keras.Variable]


@dataclass(frozen=True)
class Kind:
    """A sort of module, with its native twin and inputs for both.

    Attributes:
        name: on the command line and in JSON.
        title: in tables and plots.
        items: what a batch is made of.
        megabytes: the size of its weights unless a benchmark asks for another.
        shape: of one input item.
        dtype: of the input.
        batch_size: of prediction and of a training step.
        learning_rate: of gradient descent, so that a step is seen in the
            weights and many keep the loss in bounds.
        make_spec: from a size in MB, and a folder for what the module is to
            hold as assets, to the module.
        sample: from a number of items and a seed to inputs.
        make_twin: from a size in MB and the module's folder to the native
            model, whose weights have yet to be set.
    """

    name: str
    title: str
    items: str
    megabytes: float
    shape: tuple[int, ...]
    dtype: str
    batch_size: int
    learning_rate: float
    make_spec: Callable[[float, Path], hub.ModuleSpec]
    sample: Callable[[int, int], np.ndarray]
    make_twin: Callable[[float, Path], Twin]

    def publish(self, folder: Path, megabytes: float | None = None) -> Module:
        """Writes a module into a folder of its own below this one.

        Args:
            folder: where.
            megabytes: of its weights; None for the kind's own size, of which
                the native twin's weights are written as well.
        """
        size = self.megabytes if megabytes is None else megabytes
        path = folder / f"{self.name}_{size:g}"
        assets = folder / f"{path.name}_assets"
        assets.mkdir(parents=True)
        hub.ModuleLayer(self.make_spec(size, assets)).export_module(path)
        module = Module(self, path, size)
        if megabytes is None:
            module.publish_twin()
        return module

    def input_layer(self, of: Any = keras) -> Any:
        """The ``Input`` of Keras, or of another Keras-like package."""
        return of.Input(self.shape, dtype=self.dtype)


@dataclass(frozen=True)
class Module:
    """A published module.

    Attributes:
        kind: what it is.
        path: its folder.
        megabytes: about the size of its weights.
    """

    kind: Kind
    path: Path
    megabytes: float

    def twin(self) -> Twin:
        """The native model with the module's weights, from a file of Keras's own."""
        twin = self.kind.make_twin(self.megabytes, self.path)
        twin.model.load_weights(self._twin_weights)
        return twin

    def publish_twin(self) -> None:
        """Writes the weights that :meth:`twin` reads."""
        twin = self.kind.make_twin(self.megabytes, self.path)
        reader = tf.train.load_checkpoint(str(self.path / "variables" / "variables"))
        published = set(reader.get_variable_to_shape_map())
        if published != set(twin.variables):
            raise ValueError(
                f"The native twin of {self.kind.name} has other weights than the module: "
                f"{sorted(published ^ set(twin.variables))}"
            )
        for name, variable in twin.variables.items():
            variable.assign(reader.get_tensor(name))
        twin.model.save_weights(self._twin_weights)

    @property
    def _twin_weights(self) -> Path:
        return self.path.with_name(f"{self.path.name}.weights.h5")
