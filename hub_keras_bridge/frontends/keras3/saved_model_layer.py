"""SavedModelLayer: what ModuleLayer is where the handle leads to a TF2 SavedModel."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from hub_keras_bridge.compat import keras as private_keras
from hub_keras_bridge.compat.direct_calls import DirectCalls
from hub_keras_bridge.errors import FormatError, HandleError, SignatureError, Subject, choices
from hub_keras_bridge.errors.redaction import redact
from hub_keras_bridge.facts.shown.signature_table import facts_table
from hub_keras_bridge.facts.signatures import DEFAULT_KEY
from hub_keras_bridge.facts.tags import as_tags
from hub_keras_bridge.facts.variables import VariableFacts
from hub_keras_bridge.files.fetch.resolve import resolve
from hub_keras_bridge.frontends.keras3 import precision, saving
from hub_keras_bridge.frontends.keras3.saved_model_saving import (
    Facts,
    SavedModelSource,
    copy_source,
    count_of_values,
    facts_of,
    has_values,
    kept_copy,
    revive,
    share,
    source_of,
    write_values,
)
from hub_keras_bridge.frontends.keras3.symbolic import need_float_policy
from hub_keras_bridge.frontends.tf2.restored_graph import compiled_nodes
from hub_keras_bridge.frontends.tf2.restored_model import RestoredModel, no_variants, restore
from hub_keras_bridge.plans.selection import as_patterns, check_patterns, trained_nodes
from hub_keras_bridge.plans.trust import Trust, granted
from hub_keras_bridge.running import call_checks, xla


@keras.saving.register_keras_serializable(package="hub_keras_bridge")
class SavedModelLayer(xla.JitByOps, private_keras.OwnLosses, DirectCalls):
    """Runs a TF2 SavedModel, and fine-tunes it.

    ``ModuleLayer(handle, ...)`` makes one where the handle leads to a TF2
    SavedModel. The call runs what :func:`load` makes of it: its own
    ``__call__``, or a signature. It takes what that takes, a bare value or a nest
    of values: NumPy arrays, lists, dense, ragged and sparse tensors. It computes in
    the dtypes it was saved with; an output in float32 is returned in the compute
    dtype of the layer's dtype policy.

    Under a ``tf.distribute`` strategy, make the layer inside its scope.

    Example:

    >>> import tempfile, tensorflow as tf, hub_keras_bridge as hub
    >>> model = tf.Module()
    >>> model.scale = tf.Variable([[3.0, 5.0]])
    >>> model.__call__ = tf.function(
    ...     lambda x: x * model.scale, input_signature=[tf.TensorSpec([None, 2])]
    ... )
    >>> folder = tempfile.mkdtemp()
    >>> tf.saved_model.save(model, folder)
    >>> layer = hub.ModuleLayer(folder)
    >>> type(layer).__name__, layer([[1.0, 1.0]]).numpy().tolist()
    ('SavedModelLayer', [[3.0, 5.0]])

    Args:
        handle: what :func:`resolve` takes, or a source that was looked up.
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
        trusted_ops: names of ops that it may reach outside with even so, as an
            audit tells them.
        facts: what is known where the SavedModel itself is not there yet.
        **kwargs: those of ``keras.layers.Layer``, such as ``name``.

    Raises:
        HandleError: the handle leads nowhere.
        FormatError: the SavedModel is damaged.
        InputError: ``dtype`` is none of the floats.
        TagsError: it was saved with other tags.
        SignatureError: there is no such signature, or nothing to call.
        TrainingError: a pattern matches no trainable variable.
        UnsafeModuleError: safe mode refuses an op.
        GraphModeError: a TF1 graph is being built.
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
        trusted_ops: Collection[str] = (),
        facts: Facts | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(trainable=trainable, autocast=False, **kwargs)
        private_keras.take_inputs_as_they_are(self)
        if not isinstance(handle, SavedModelSource):
            handle = source_of(resolve(handle), redact(os.fsdecode(handle)))
        subject = Subject(handle.name)
        need_float_policy(super().compute_dtype, subject)
        _need_eager_execution(subject)
        if training_tags is not None:
            raise no_variants(subject, training_tags)
        self._choice = _Choice(
            signature=signature,
            output_key=output_key,
            as_dict=as_dict,
            patterns=as_patterns(trainable_patterns),
            tags=None if tags is None else tuple(sorted(as_tags(tags))),
            trust=Trust.of(safe_mode, trusted_ops),
        )
        self._restored = None if handle.folder is None else self._restore(handle)
        if self._restored is not None:
            facts = facts_of(self._restored, subject)
        if facts is None:
            raise _not_here(handle.name, "make a layer of")
        check_patterns(self._choice.patterns, facts.variables, subject)
        self._model = _Model(handle, facts)
        self._variables_held = self._hold()
        if not trainable:
            # Keras tells this to variables that a frozen layer makes, and later to all
            # that it tracks as trainable. Models ask each variable, not its layer.
            for variable in self._variables_held:
                variable.trainable = False

    @property
    def _subject(self) -> Subject:
        return Subject(self._model.source.name)

    def _restore(self, source: SavedModelSource, *, with_values: bool = True) -> RestoredModel:
        assert source.folder is not None
        with tf.init_scope():
            restored = restore(
                source.folder,
                self._choice.tags,
                signature=self._choice.signature,
                trust=self._choice.trust,
                subject=Subject(source.name),
                options=tf.saved_model.LoadOptions(experimental_skip_checkpoint=not with_values),
            )
        restored.need_call()
        return restored

    def _hold(self) -> list[private_keras.HeldVariable]:
        """A Keras variable for each of the SavedModel's."""
        facts = self._model.facts.variables
        trained = trained_nodes(self._choice.patterns, facts)
        if self._restored is not None:
            there = list(self._restored.variables)
        else:
            # To be moved over when the SavedModel comes out of an archive.
            there = [tf.Variable(tf.zeros(f.shape, f.dtype), trainable=f.trainable) for f in facts]
        return [
            # Keras takes no slash in the name of a weight.
            private_keras.HeldVariable(
                variable, name=f.node.replace("/", "."), trainable=f.node in trained
            )
            for f, variable in zip(facts, there, strict=True)
        ]

    def _repr_html_(self) -> str:
        """What the SavedModel can be called for, where a notebook shows the layer."""
        of = f"of {self._model.source.name!r}"
        if self._restored is None:
            return facts_table(f"SavedModelLayer {self.name!r} {of}, which is not here", {})
        runs = f"SavedModelLayer {self.name!r}, signature {self._restored.runs!r}"
        return facts_table(f"{runs} {of}", self._restored.interface)

    @property
    def variable_map(self) -> dict[str, keras.Variable]:
        """Name -> variable; a name that came up before has its number behind it."""
        return {facts.node: variable for facts, variable in self._weights()}

    def _weights(self) -> list[tuple[VariableFacts, keras.Variable]]:
        return list(zip(self._model.facts.variables, self._variables_held, strict=True))

    # --- Keras: building and calling ---

    def build(self, input_shape: Any = None) -> None:
        """Does nothing: the weights came with the SavedModel."""

    @tf.autograph.experimental.do_not_convert
    def __call__(self, inputs: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As Keras does it, of inputs that Keras lets through."""
        given = inputs if self._restored is None else self._restored.unmixed(inputs)
        return super().__call__(given, *args, **kwargs)

    @tf.autograph.experimental.do_not_convert
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
            StrategyError: a training call under a strategy made after the layer.
            XlaError: a call that XLA is to compile and cannot.
            BackendError: a call in stateless form.
            GraphModeError: a TF1 graph is being built.
        """
        _need_eager_execution(self._subject)
        restored = self._need_restored("run")
        call_checks.need_own_values(
            "Cannot call a SavedModelLayer in stateless form.", self, self._subject
        )
        learning = bool(training) and self.trainable
        given = {} if inputs is None else inputs
        xla.need_ops(
            lambda: _missing_ops(restored, tf.nest.map_structure(_spec_of, given), learning),
            "Cannot compile a TF2 SavedModel with XLA: it lacks some of the model's ops.",
            self._subject,
        )
        if learning:
            call_checks.need_own_strategy(self, self._subject)
        outputs = self._chosen(restored(given, training=learning))
        return precision.to_output_dtypes(outputs, super().compute_dtype)

    def _need_restored(self, purpose: str) -> RestoredModel:
        if self._restored is None:
            raise _not_here(self._model.source.name, purpose)
        return self._restored

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
                self._subject,
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

    def _missing_ops(self) -> dict[str, str] | None:
        restored = self._restored
        if restored is None:
            return None
        missing = _missing_ops(restored, restored.input_specs, training=False)
        if self.trainable:
            missing |= _missing_ops(restored, restored.input_specs, training=True)
        return missing

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
        found = self.compute_output_spec(_symbols(self._model.facts.input_dtypes, input_shape))
        return tf.nest.map_structure(lambda tensor: tuple(tensor.shape), found)

    def compute_output_spec(
        self,
        inputs: Any = None,
        training: bool | None = None,  # noqa: ARG002
    ) -> Any:
        """Shapes and dtypes of the outputs for symbolic inputs.

        Raises:
            InputError: the inputs can never fit.
            SignatureError: the rank of an output is unknown.
            StrategyError: a layer to be trained under a strategy made after it.
        """
        call_checks.need_own_strategy(self, self._subject)
        specs = tf.nest.map_structure(_spec_of, {} if inputs is None else inputs)
        key = json.dumps(tf.nest.map_structure(_to_json, specs), sort_keys=True)
        known = self._model.outputs
        if key not in known:
            restored = self._need_restored("tell the output shapes of")
            outputs, _ = restored.trace(specs).structured_outputs
            known[key] = tf.nest.map_structure(_to_json, self._chosen(outputs))
        return self._from_json(known[key])

    def _from_json(self, nest: Any) -> Any:
        if isinstance(nest, Mapping):
            return {name: self._from_json(value) for name, value in nest.items()}
        if isinstance(nest, list | tuple):
            return [self._from_json(value) for value in nest]
        kind, shape, dtype = json.loads(nest)
        if shape is None:
            raise SignatureError(
                "Cannot use an output of a TF2 SavedModel in a functional model: "
                "its rank is unknown.",
                self._subject,
                expected="a shape with a known number of dimensions",
                found="none",
                advice="call the layer inside a subclassed model, or in a layer of your own "
                "that reshapes the output",
            )
        dtype = precision.output_dtype(dtype, super().compute_dtype)
        # Keras before 3.9 knows no ragged symbols.
        return keras.KerasTensor(shape, dtype, **({} if kind == _DENSE else {kind: True}))

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
        if private_keras.loads_in_safe_mode():
            # Who wrote the archive does not decide that it is to be trusted.
            config |= {"safe_mode": True, "trusted_ops": granted()}
        source = revive(config.pop("identity"), config.pop("handle"))
        layer = cls(source, facts=facts, **config)
        layer._model.outputs.update(outputs)
        return layer

    def save_own_variables(self, store: Any) -> None:
        """Writes the weights by name."""
        saving.save_weights(store, self._weights())

    def load_own_variables(self, store: Any) -> None:
        """Reads the weights by name.

        Raises:
            CheckpointError: names or shapes differ.
        """
        saving.load_weights(store, self._weights(), self._subject)

    def save_assets(self, inner_path: str) -> None:
        """Writes the SavedModel into a Keras archive, without the weights that Keras writes.

        Its checkpoint has them as they were. What else that may have, no other file
        of the archive has: then all of it is written.
        """
        self._need_restored("save")
        source = self._model.source
        has_more = count_of_values(source) > len(self._variables_held)
        copy_source(source, inner_path, with_values=has_more)

    def load_assets(self, inner_path: str) -> None:
        """Takes the SavedModel from a Keras archive; the weights stay."""
        if self._restored is not None:
            return
        source = kept_copy(inner_path, self._model.source.name)
        is_whole = has_values(source)
        restored = self._restore(source, with_values=is_whole)
        if facts_of(restored, self._subject).variables != self._model.facts.variables:
            raise FormatError(
                "Cannot load a TF2 SavedModel from a Keras archive: config and graphs differ.",
                Subject(source.name),
                expected="the variables that the layer's config describes",
                found="others",
                advice="save the model again; the archive is damaged",
            )
        if not is_whole and not restored.lists_all:
            raise FormatError(
                "Cannot load a TF2 SavedModel from a Keras archive: its values are missing.",
                Subject(source.name),
                expected="its checkpoint, for variables that are no weights of the layer",
                found="none",
                advice="save the model again; the archive is damaged",
            )
        for held, variable in zip(self._variables_held, restored.variables, strict=True):
            held.move_to(variable)
        if not is_whole:
            # A clone of this layer takes its weights from there.
            write_values(source, restored)
        share(source)
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
    trust: Trust

    def to_config(self) -> dict[str, Any]:
        """The arguments again, ready for JSON."""
        config = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        config["trainable_patterns"] = config.pop("patterns")
        return config | config.pop("trust").to_config()


class _Model:
    """What a layer holds that neither Keras nor TensorFlow is to track."""

    def __init__(self, source: SavedModelSource, facts: Facts) -> None:
        self.source = source
        self.facts = facts
        # Shapes and dtypes of outputs by those of inputs, both as JSON has them.
        self.outputs: dict[str, Any] = {}


def _missing_ops(restored: RestoredModel, inputs: Any, training: bool) -> dict[str, str]:
    """What a call runs and XLA cannot compile, as :func:`xla.lacking` tells it."""
    return xla.lacking(compiled_nodes(restored.trace(inputs, training=training)))


_DENSE, _SPARSE, _RAGGED = "dense", "sparse", "ragged"
_SPECS = {_DENSE: tf.TensorSpec, _SPARSE: tf.SparseTensorSpec, _RAGGED: tf.RaggedTensorSpec}


def _spec_of(value: Any) -> Any:
    """Dtype and shape of a tensor or symbol; another value itself."""
    if tf.is_tensor(value):
        return tf.type_spec_from_value(value)
    if not isinstance(value, keras.KerasTensor):
        return value
    kind = next((k for k in (_SPARSE, _RAGGED) if getattr(value, k, False)), _DENSE)
    return _SPECS[kind](value.shape, keras.backend.standardize_dtype(value.dtype))


def _to_json(value: Any) -> str:
    """A tensor's kind, shape and dtype, as one leaf of a nest."""
    spec = _spec_of(value)
    kind = next(kind for kind, known in _SPECS.items() if isinstance(spec, known))
    shape = spec.shape.as_list() if spec.shape.rank is not None else None
    return json.dumps([kind, shape, spec.dtype.name])


def _symbols(dtypes: Any, shapes: Any) -> Any:
    """Dense symbols for a nest of dtypes and the same nest of shapes."""
    if isinstance(dtypes, Mapping):
        return {name: _symbols(dtype, shapes[name]) for name, dtype in dtypes.items()}
    if isinstance(dtypes, list):
        return [_symbols(*pair) for pair in zip(dtypes, shapes, strict=True)]
    return keras.KerasTensor(shapes, dtypes)


def _need_eager_execution(subject: Subject) -> None:
    call_checks.need_eager_execution(
        "Cannot use a SavedModelLayer in a TF1 graph.",
        subject,
        advice="make and call the layer outside the graph",
    )


def _not_here(name: str, purpose: str) -> HandleError:
    return HandleError(
        f"Cannot {purpose} a TF2 SavedModel: it is not here.",
        Subject(name),
        expected="the SavedModel's folder, or a .keras file that has it inside",
        found="a layer made from a config alone",
        advice="put the SavedModel back, or load a .keras file of the model: an .h5 file or a "
        "config holds none",
    )
