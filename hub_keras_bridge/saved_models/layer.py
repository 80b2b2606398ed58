"""SavedModelLayer: what ModuleLayer is where the handle leads to a TF2 SavedModel."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from hub_keras_bridge import compat, portable
from hub_keras_bridge.errors import (
    BackendError,
    FormatError,
    HandleError,
    SignatureError,
    Subject,
    TrainingError,
    choices,
)
from hub_keras_bridge.fetch.urls import redact
from hub_keras_bridge.resolve import resolve
from hub_keras_bridge.saved_models.restored import RestoredModel, no_variants, restore
from hub_keras_bridge.saved_models.source import (
    Facts,
    SavedModelSource,
    copy_source,
    facts_of,
    kept_copy,
    revive,
    source_of,
)
from hub_keras_bridge.spec import as_tags
from hub_keras_bridge.variant import DEFAULT_KEY, VariableFacts


@keras.saving.register_keras_serializable(package="hub_keras_bridge")
class SavedModelLayer(compat.OwnLosses):
    """Runs a TF2 SavedModel, and fine-tunes it.

    ``ModuleLayer(handle, ...)`` makes one where the handle leads to a TF2
    SavedModel. The call runs what :func:`load` makes of it: its own
    ``__call__``, or a signature.

    Args:
        handle: what :func:`resolve` takes.
        signature: name of the signature to run; None for the SavedModel's own
            ``__call__``, or, if it has none, ``serving_default`` or the only one.
        output_key: name of the one output to return, where there are several;
            None to return what the SavedModel returns.
        as_dict: whether that has to be outputs by name.
        trainable: whether the SavedModel's trainable variables are trained; its
            regularization losses then are in ``layer.losses``, and training
            calls run in its training mode.
        trainable_patterns: a regular expression or a list of them; only
            variables whose name one of them is found in are trained.
        tags: those it was saved with, or None.
        training_tags: not to be given; it has one graph for both.
        safe_mode: whether to refuse one that reaches outside its own graph.
        facts: what is known where the SavedModel itself is not there yet.
        **kwargs: those of ``keras.layers.Layer``, such as ``name``.

    Raises:
        HandleError: the handle leads nowhere.
        FormatError: the SavedModel is damaged.
        TagsError: it was saved with other tags.
        SignatureError: there is no such signature, or nothing to call.
        TrainingError: a pattern matches no trainable variable.
        UnsafeModuleError: safe mode refuses an op.
    """

    def __init__(
        self,
        handle: str | os.PathLike[str] | SavedModelSource,
        *,
        signature: str | None = None,
        output_key: str | None = None,
        as_dict: bool = False,
        trainable: bool = False,
        trainable_patterns: str | Sequence[str] | None = None,
        tags: Collection[str] | None = None,
        training_tags: Collection[str] | None = None,
        safe_mode: bool = True,
        facts: Facts | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(trainable=trainable, autocast=False, **kwargs)
        compat.take_inputs_as_they_are(self)
        # On a CPU XLA makes these graphs slower, and it has no strings or tables.
        self.supports_jit = False
        if not isinstance(handle, SavedModelSource):
            handle = source_of(resolve(handle), redact(os.fspath(handle)))
        if training_tags is not None:
            raise no_variants(Subject(handle.name), training_tags)
        patterns = (
            [trainable_patterns] if isinstance(trainable_patterns, str) else trainable_patterns
        )
        self._choice = _Choice(
            signature=signature,
            output_key=output_key,
            as_dict=as_dict,
            patterns=None if patterns is None else tuple(patterns),
            tags=None if tags is None else tuple(sorted(as_tags(tags))),
            safe_mode=safe_mode,
        )
        self._restored = None if handle.folder is None else self._restore(handle)
        if self._restored is not None:
            facts = facts_of(self._restored)
        if facts is None:
            raise _not_here(handle.name, "make a layer of")
        self._model = _Model(handle, facts)
        self._variables_held = self._hold()

    def _restore(self, source: SavedModelSource) -> RestoredModel:
        assert source.folder is not None
        with tf.init_scope():
            return restore(
                source.folder,
                self._choice.tags,
                signature=self._choice.signature,
                safe_mode=self._choice.safe_mode,
                subject=Subject(source.name),
            )

    def _hold(self) -> list[compat.HeldVariable]:
        """A Keras variable for each of the SavedModel's."""
        facts = self._model.facts.variables
        trained = _trained(facts, self._choice.patterns, Subject(self._model.source.name))
        if self._restored is not None:
            there = list(self._restored.variables)
        else:
            # To be moved over when the SavedModel comes out of an archive.
            there = [tf.Variable(tf.zeros(f.shape, f.dtype), trainable=f.trainable) for f in facts]
        return [
            # Keras takes no slash in the name of a weight.
            compat.HeldVariable(
                variable, name=f.node.replace("/", "."), trainable=f.node in trained
            )
            for f, variable in zip(facts, there, strict=True)
        ]

    @property
    def variable_map(self) -> dict[str, keras.Variable]:
        """Name -> variable; a name that came up before has its number behind it."""
        return {facts.node: variable for facts, variable in self._weights()}

    def _weights(self) -> list[tuple[VariableFacts, keras.Variable]]:
        return list(zip(self._model.facts.variables, self._variables_held, strict=True))

    # --- Keras: building and calling ---

    def build(self, input_shape: Any = None) -> None:
        """Does nothing: the weights came with the SavedModel."""

    def call(self, inputs: Any = None, training: bool | None = None) -> Any:
        """Runs the SavedModel.

        Args:
            inputs: a value, or a dict by input name.
            training: whether this is a training call; it is one only of a
                trainable layer.

        Returns:
            What the SavedModel returns, or one output of that.

        Raises:
            InputError: the inputs do not fit.
            BackendError: a call in stateless form.
        """
        if self._restored is None:
            raise _not_here(self._model.source.name, "run")
        if compat.has_stand_ins(self):
            raise BackendError(
                "Cannot call a SavedModelLayer in stateless form.",
                Subject(self._model.source.name),
                expected="a call with the values that the layer's weights hold",
                found="other values, given to stateless_call or keras.StatelessScope",
                advice="assign the values to layer.weights, then call the layer as usual",
            )
        outputs = self._restored(inputs, training=bool(training) and self.trainable)
        return self._chosen(outputs)

    def _chosen(self, outputs: Any) -> Any:
        by_name = outputs if isinstance(outputs, Mapping) else {DEFAULT_KEY: outputs}
        if self._choice.as_dict:
            return dict(by_name)
        key = self._choice.output_key
        if key is None:
            return outputs
        if key not in by_name:
            raise SignatureError(
                f"A TF2 SavedModel has no output {key!r}.",
                Subject(self._model.source.name),
                expected=f"one of {choices(by_name)}",
                found=repr(key),
                advice="pass output_key=... with a name of this list, or none",
            )
        return by_name[key]

    def standing_losses(self) -> list[tf.Tensor]:
        """The regularization losses of current weights; none when frozen."""
        if self._restored is None or not self.trainable:
            return []
        return [loss() for loss in self._restored.regularization_losses]

    # --- Keras: dtypes and shapes ---

    @property
    def compute_dtype(self) -> str:
        """The dtype of the only input, so that Sequential asks for it."""
        dtypes = self._model.facts.input_dtypes if hasattr(self, "_model") else None
        return dtypes if isinstance(dtypes, str) else super().compute_dtype

    @property
    def variable_dtype(self) -> str:
        """As ``compute_dtype``; each weight has its own dtype anyway."""
        return self.compute_dtype

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shapes of the outputs for inputs of these shapes."""
        dtypes = self._model.facts.input_dtypes
        if isinstance(dtypes, dict):
            inputs = {name: keras.KerasTensor(input_shape[name], d) for name, d in dtypes.items()}
        else:
            inputs = keras.KerasTensor(input_shape, dtypes)
        found = self.compute_output_spec(inputs)
        return tf.nest.map_structure(lambda tensor: tuple(tensor.shape), found)

    def compute_output_spec(
        self,
        inputs: Any = None,
        training: bool | None = None,  # noqa: ARG002
    ) -> Any:
        """Shapes and dtypes of the outputs for symbolic inputs."""
        specs = tf.nest.map_structure(_spec_of, inputs)
        key = json.dumps(tf.nest.map_structure(_to_json, specs), sort_keys=True)
        known = self._model.outputs
        if key not in known:
            if self._restored is None:
                raise _not_here(self._model.source.name, "tell the output shapes of")
            run = tf.function(lambda given: self._chosen(self._restored(given)), autograph=False)
            outputs = run.get_concrete_function(specs).structured_outputs
            known[key] = tf.nest.map_structure(_to_json, outputs)
        return _from_json(known[key])

    # --- Keras: saving ---

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, and facts about the SavedModel."""
        return {
            **super().get_config(),
            "handle": self._model.source.name,
            "identity": self._model.source.identity,
            **self._choice.to_config(),
            "facts": self._model.facts.to_config(),
            "inferred_outputs": json.dumps(self._model.outputs, sort_keys=True),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SavedModelLayer:
        """The inverse of :meth:`get_config`."""
        config = dict(config)
        outputs = json.loads(config.pop("inferred_outputs"))
        facts = Facts.from_config(config.pop("facts"))
        if compat.loads_in_safe_mode():
            # Who wrote the archive does not decide that it is to be trusted.
            config["safe_mode"] = True
        source = revive(config.pop("identity"), config.pop("handle"))
        layer = cls(source, facts=facts, **config)
        layer._model.outputs.update(outputs)
        return layer

    def save_own_variables(self, store: Any) -> None:
        """Writes the weights by name."""
        portable.save_weights(store, self._weights())

    def load_own_variables(self, store: Any) -> None:
        """Reads the weights by name.

        Raises:
            CheckpointError: names or shapes differ.
        """
        portable.load_weights(store, self._weights(), Subject(self._model.source.name))

    def save_assets(self, inner_path: str) -> None:
        """Writes the SavedModel into a Keras archive, as it was."""
        if self._restored is None:
            raise _not_here(self._model.source.name, "save")
        copy_source(self._model.source, inner_path)

    def load_assets(self, inner_path: str) -> None:
        """Takes the SavedModel from a Keras archive; the weights stay."""
        if self._restored is not None:
            return
        source = kept_copy(inner_path, self._model.source.name)
        restored = self._restore(source)
        if facts_of(restored).variables != self._model.facts.variables:
            raise FormatError(
                "Cannot load a TF2 SavedModel from a Keras archive: config and graphs differ.",
                Subject(source.name),
                expected="the variables that the layer's config describes",
                found="others",
                advice="save the model again; the archive is damaged",
            )
        for held, variable in zip(self._variables_held, restored.variables, strict=True):
            held.move_to(variable)
        self._restored = restored
        self._model.source = source


@dataclasses.dataclass(frozen=True)
class _Choice:
    """What of a SavedModel a layer uses; the fields are its arguments."""

    signature: str | None
    output_key: str | None
    as_dict: bool
    patterns: tuple[str, ...] | None
    tags: tuple[str, ...] | None
    safe_mode: bool

    def to_config(self) -> dict[str, Any]:
        """The arguments again, ready for JSON."""
        config = dataclasses.asdict(self)
        config["trainable_patterns"] = config.pop("patterns")
        return config


class _Model:
    """What a layer holds that neither Keras nor TensorFlow is to track."""

    def __init__(self, source: SavedModelSource, facts: Facts) -> None:
        self.source = source
        self.facts = facts
        # Shapes and dtypes of outputs by those of inputs, both as JSON has them.
        self.outputs: dict[str, Any] = {}


def _trained(
    variables: Sequence[VariableFacts], patterns: Sequence[str] | None, subject: Subject
) -> set[str]:
    """Names of the variables that a trainable layer trains."""
    names = {facts.node for facts in variables if facts.trainable}
    if patterns is None:
        return names
    for pattern in patterns:
        if not any(re.search(pattern, name) for name in names):
            raise TrainingError(
                f"The trainable pattern {pattern!r} matches no trainable variable.",
                subject,
                expected=f"a part of one of {choices(names)}",
                found=repr(pattern),
                advice="patterns are searched for (re.search) in variable names",
            )
    return {name for name in names if any(re.search(pattern, name) for pattern in patterns)}


def _spec_of(symbol: Any) -> tf.TypeSpec:
    spec = tf.SparseTensorSpec if getattr(symbol, "sparse", False) else tf.TensorSpec
    return spec(symbol.shape, keras.backend.standardize_dtype(symbol.dtype))


def _to_json(spec: Any) -> str:
    """A dense tensor's shape and dtype, as one leaf of a nest."""
    rank_known = spec.shape.rank is not None
    shape = spec.shape.as_list() if rank_known else None
    return json.dumps([type(spec).__name__ == "SparseTensorSpec", shape, spec.dtype.name])


def _from_json(nest: Any) -> Any:
    if isinstance(nest, Mapping):
        return {name: _from_json(value) for name, value in nest.items()}
    if isinstance(nest, list | tuple):
        return [_from_json(value) for value in nest]
    sparse, shape, dtype = json.loads(nest)
    return keras.KerasTensor(shape, dtype, sparse=sparse)


def _not_here(name: str, purpose: str) -> HandleError:
    return HandleError(
        f"Cannot {purpose} a TF2 SavedModel: it is not here.",
        Subject(name),
        expected="the SavedModel's folder, or a .keras file that has it inside",
        found="a layer made from a config alone",
        advice="load the model with keras.models.load_model(...), or put the SavedModel back",
    )
