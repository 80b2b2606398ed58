"""A TF1 Hub module behind a layer: variables by TF1 name, and a Runtime that runs plans."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from hub_keras_bridge.compat import keras as private_keras
from hub_keras_bridge.errors import FormatError, Subject
from hub_keras_bridge.facts.checkpoint import write_checkpoint
from hub_keras_bridge.facts.shown.signature_table import signature_table
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.facts.variables import VariableFacts
from hub_keras_bridge.files import module_writing
from hub_keras_bridge.frontends.keras3 import tf1_saving
from hub_keras_bridge.frontends.keras3.choice import Choice
from hub_keras_bridge.frontends.keras3.content import Content, need_dtypes_of_keras
from hub_keras_bridge.frontends.keras3.symbolic import ShapeMemory, known
from hub_keras_bridge.frontends.keras3.tf1_calls import Tf1Calls
from hub_keras_bridge.frontends.keras3.tf1_calls_elsewhere import Tf1CallsElsewhere
from hub_keras_bridge.frontends.keras3.tf1_frozen import frozen_call
from hub_keras_bridge.frontends.keras3.tf1_module import Tf1Module
from hub_keras_bridge.plans.selection import look_at, select, warn_of_unfed_losses
from hub_keras_bridge.running import xla
from hub_keras_bridge.running.backends.current import current
from hub_keras_bridge.running.frozen_call import FrozenCall
from hub_keras_bridge.running.shapes import inferred_outputs
from hub_keras_bridge.running.trained_values import trained_values


class Tf1Content(Content):
    """A TF1 Hub module; each of its variables is a weight that the layer makes.

    Args:
        module: what the module is, and what runs of it.
        choice: what of it the layer uses.
        trainable: whether there are training calls now.

    Raises:
        TagsError, SignatureError, TrainingError: the choice does not fit.
        UnsafeModuleError: an op that is not trusted may reach outside.
        UnknownOpError: TensorFlow lacks an op of the module.
    """

    is_tf1_module = True
    graph_mode = "use hub.Module there, or the layer outside the graph"

    def __init__(self, module: Tf1Module, choice: Choice, trainable: bool) -> None:
        super().__init__(choice)
        self.kind = module.spec.files.kind
        self._module = module
        need_dtypes_of_keras(module.spec.variables, self.subject)
        self._selection = select(
            module.spec,
            signature=choice.signature,
            output_key=choice.output_key,
            as_dict=choice.as_dict,
            trainable_patterns=choice.patterns,
            tags=choice.tags,
            training_tags=choice.training_tags,
        )
        endpoints = self._selection.endpoints(module.programs, choice.trust, trainable)
        self._inference, self._training = endpoints
        self._may_train = trainable or self._training.program is self._inference.program
        backend = current()
        self._calls: Tf1Calls | Tf1CallsElsewhere = (
            Tf1Calls(module, *endpoints)
            if backend is None
            else Tf1CallsElsewhere(module, *endpoints, backend)
        )

    @classmethod
    def of(cls, spec: ModuleSpec, choice: Choice, trainable: bool) -> Tf1Content:
        """A module that shares nothing yet."""
        return cls(Tf1Module(spec, choice.trust), choice, trainable)

    def choosing(self, choice: Choice, trainable: bool, described: Any = None) -> Tf1Content:
        """Another signature of the same module."""
        module = self._module
        if described and not self.is_here:
            module = module.under_same_weights(tf1_saving.facts_alone(described, self.name))
        return Tf1Content(module, choice.within(module.spec), trainable)

    # --- what it is ---

    @property
    def name(self) -> str:
        """What the module is called, mostly its handle."""
        return self.spec.files.name

    @property
    def call_subject(self) -> Subject:
        """The signature that calls run."""
        return self._inference.subject

    @property
    def is_here(self) -> bool:
        """Whether the spec has graphs."""
        return not self.spec.files.facts_only

    @property
    def spec(self) -> ModuleSpec:
        """What the module is."""
        return self._module.spec

    @property
    def input_dtype(self) -> str | None:
        """The dtype of the signature's only input; of text that of its bytes, if need be."""
        infos = list(self._inference.facts.inputs.values())
        if len(infos) != 1:
            return None
        return self._calls.symbol_dtype(infos[0].dtype).name

    @property
    def input_names(self) -> Collection[str]:
        """Those of the signature."""
        return self._inference.facts.inputs

    def table(self, title: str) -> str:
        """All signatures of all variants."""
        runs = f"{title}, signature {self._inference.signature!r} of {self.name!r}"
        return signature_table(runs, [self.spec.variant(tags) for tags in self.spec.get_tags()])

    # --- weights ---

    @property
    def weights(self) -> list[tuple[VariableFacts, keras.Variable]]:
        """The variables that were made."""
        return self._module.weights

    @property
    def tracked(self) -> dict[str, tf.Module | None]:
        """The runtime, with its tables and files."""
        return {"_runtime": self._module.runtime}

    def create_weights(self, layer: keras.layers.Layer) -> None:
        """Makes all variables, with their values."""
        self._module.create_weights(layer, self._selection)
        if layer.trainable and self.is_here:
            warn_of_unfed_losses(self._training)

    def filling_tables(self) -> contextlib.AbstractContextManager[None]:
        """Fills those that a call reads."""
        if not self.is_here:
            return contextlib.nullcontext()
        return self._module.runtime.filling_tables(self._inference)

    # --- calls ---

    def need_trainable(self) -> None:
        """Looks at the variant for training, once."""
        if not self._may_train and self.is_here:
            look_at(self._training, self.choice.trust, trainable=True)
            self._may_train = True

    def unmixed(self, inputs: Any) -> Any:
        """As :meth:`Endpoint.unmixed`."""
        return self._calls.unmixed(inputs)

    def run(
        self, inputs: Any, *, training: bool | tf.Tensor, trainable: bool
    ) -> tuple[Any, Sequence[tf.Tensor]]:
        """Runs the signature, of the variant for training in a training call."""
        return self._calls.run(inputs, training=training, trainable=trainable)

    def route(self) -> str:
        """As the plan of the call decides it, and the shapes that were met."""
        return self._calls.route() or super().route()

    def add_seeds(self, layer: keras.layers.Layer) -> None:
        """As :meth:`Tf1Module.add_seeds`."""
        self._module.add_seeds(layer, self._selection)

    def standing_losses(self) -> list[Any]:
        """REGULARIZATION_LOSSES that need no input."""
        if not self._module.has_weights or not self.is_here:
            return []
        return self._calls.standing_losses()

    def missing_ops(self, *, training: bool, inputs: Any = None) -> dict[str, str]:  # noqa: ARG002
        """By the plans of the call, whatever the inputs."""
        endpoint = self._training if training else self._inference
        return xla.missing_ops(endpoint, training=training)

    def frozen(self) -> FrozenCall:
        """The call of the variant for inference."""
        return frozen_call(self._module, self._inference, self.choice.trust)

    # --- symbols ---

    def undecided(self, inputs: Any) -> list[str]:
        """Of the dense inputs."""
        symbols = [
            (self._inference.slot(name), value.shape, keras.backend.standardize_dtype(value.dtype))
            for name, value in self._dense_values(inputs)
        ]
        notes = [slot.check_symbol(shape, tf.as_dtype(dtype)) for slot, shape, dtype in symbols]
        return list(filter(None, notes))

    def given(self, inputs: Any) -> Any:
        """The dense inputs, by name."""
        shapes = {}
        for name, value in self._dense_values(inputs):
            dtype = tf.as_dtype(keras.backend.standardize_dtype(value.dtype))
            shapes[name] = self._inference.slot(name).fed_shape(value.shape, dtype)
        return self._dense(shapes)

    def _dense_values(self, inputs: Any) -> Iterator[tuple[str, Any]]:
        for name, value in self._inference.by_name(inputs).items():
            if self._is_dense(name) and hasattr(value, "dtype"):
                yield name, value

    def given_shapes(self, shapes: Any) -> Any:
        """The dense inputs, by name."""
        by_name = self._inference.by_name(shapes)
        return self._dense({n: shape for n, shape in by_name.items() if self._is_dense(n)})

    def _is_dense(self, name: str) -> bool:
        return isinstance(self._inference.facts.inputs[name].type_spec, tf.TensorSpec)

    def _dense(self, shapes: Mapping[str, Any]) -> dict[str, tf.TensorSpec]:
        infos = self._inference.facts.inputs
        return {name: tf.TensorSpec(shape, infos[name].dtype) for name, shape in shapes.items()}

    def output_specs(self, given: Any) -> Any:
        """As the graph has it; without one, as the signature declares it."""
        if not self.is_here:
            return self._packed([spec.shape for spec in self._inference.declared()])
        shapes = {name: spec.shape for name, spec in given.items()}
        inferred = inferred_outputs(self._inference, shapes, self.choice.trust)
        return self._packed([spec.shape for spec in inferred])

    def _packed(self, shapes: Sequence[Any]) -> Any:
        """The outputs whose components have these shapes."""
        endpoint, remaining = self._inference, iter(shapes)
        specs = {}
        for key in endpoint.outputs:
            info = endpoint.facts.outputs[key]
            first, *_ = [next(remaining) for _ in info.tensor_names]
            specs[key] = _spec(info, first)
        return specs if endpoint.as_dict else specs[endpoint.outputs[0]]

    @property
    def output_name(self) -> str:
        """That of the output which was asked for."""
        return self._inference.outputs[0]

    # --- Keras's configs and archives ---

    @property
    def _asked(self) -> tf1_saving.Asked:
        return tf1_saving.Asked.of(self.choice.signature, self.choice.output_key)

    def describe(self) -> dict[str, Any]:
        """Signatures and variables."""
        return {"module": tf1_saving.describe(self.spec, self._asked)}

    def describe_choice(self) -> Any:
        """The module with the inner tensors that are asked of it, if there are any."""
        own = self.spec.variant(self._selection.tags).signature(self._asked.signature).outputs
        inner = set(self._asked.outputs) - set(own)
        return tf1_saving.describe(self.spec, self._asked) if inner else None

    def recall(self, inferred_outputs: str, inferred_shapes: str) -> ShapeMemory:
        """Version 0.1.0 had shapes alone, those of outputs by components."""
        memory = super().recall(inferred_outputs, inferred_shapes)
        for shapes, flat in json.loads(inferred_shapes).items():
            memory.note(known(self._dense(json.loads(shapes))), known(self._packed(flat)))
        return memory

    def save(self, folder: str) -> None:
        """Writes graphs and vocabularies."""
        tf1_saving.save_graphs(self.spec, folder)

    def load(self, folder: str, trainable: bool) -> Tf1Content:
        """Takes graphs and vocabularies, under the same weights."""
        if not self._module.has_weights:
            raise FormatError(
                "Cannot load a TF1 Hub module from a Keras archive: its weights are missing.",
                self.subject,
                expected="weights by TF1 name",
                found="none",
                advice="save the model again; the archive is damaged",
            )
        spec = tf1_saving.load_graphs(folder, self.name)
        if not tf1_saving.same_facts(spec, self.spec, self._asked):
            raise FormatError(
                "Cannot load a TF1 Hub module from a Keras archive: config and graphs differ.",
                self.subject,
                expected="the graphs that the layer's config describes",
                found="graphs with other signatures or variables",
                advice="save the model again; the archive is damaged",
            )
        return Tf1Content(self._module.under_same_weights(spec), self.choice, trainable)

    # --- what no TF2 SavedModel can ---

    def load_checkpoint(
        self,
        checkpoint_path: str | bytes | os.PathLike[str],
        name_transform_fn: Callable[[str], str] | None,
    ) -> None:
        """As :func:`trained_values` finds them."""
        weights = self._module.variables
        for facts, value in trained_values(self.spec, checkpoint_path, name_transform_fn):
            # What the module's own checkpoint lacks is no weight.
            if facts.node in weights:
                weights[facts.node].assign(value)

    def export(self, path: str) -> None:
        """Writes all of the module again, under current weights."""
        values = [(facts, private_keras.value_for_tensorflow(v)) for facts, v in self.weights]
        module_writing.write_module(
            path,
            self.spec.files,
            (lambda prefix: write_checkpoint(prefix, values)) if values else None,
        )

    def hold_vocabularies(self) -> None:
        """As :meth:`Runtime.hold_vocabularies`."""
        self._module.runtime.hold_vocabularies()


def _spec(info: ParsedTensorInfo, shape: Any) -> tf.TypeSpec:
    """Dtype and shape of an output whose first component has a shape."""
    if isinstance(info.type_spec, tf.TensorSpec):
        return tf.TensorSpec(shape, info.dtype)
    if isinstance(info.type_spec, tf.RaggedTensorSpec):
        return info.type_spec
    kind = tf.SparseTensorSpec if info.is_sparse else tf.TensorSpec
    return kind(info.get_shape(), info.dtype)
