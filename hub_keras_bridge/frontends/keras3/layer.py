"""ModuleLayer: a TF1 Hub module as a Keras layer."""

from __future__ import annotations

import abc
import contextlib
import inspect
import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from hub_keras_bridge.compat import keras as private_keras
from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.compat.direct_calls import DirectCalls
from hub_keras_bridge.errors import BackendError, FormatError, HandleError, Subject
from hub_keras_bridge.errors.redaction import redact
from hub_keras_bridge.facts.checkpoint import write_checkpoint
from hub_keras_bridge.facts.reading import load_module_spec, read_module_spec
from hub_keras_bridge.facts.shown.signature_table import signature_table
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.variables import VariableFacts, by_name
from hub_keras_bridge.files import module_writing
from hub_keras_bridge.files.fetch.resolve import resolve
from hub_keras_bridge.frontends.keras3 import precision, saving
from hub_keras_bridge.frontends.keras3.saved_model_layer import SavedModelLayer
from hub_keras_bridge.frontends.keras3.saved_model_saving import source_of
from hub_keras_bridge.frontends.keras3.symbolic import (
    ShapeMemory,
    need_float_policy,
    symbolic_inputs,
    symbolic_outputs,
)
from hub_keras_bridge.frontends.tf2.restored_model import is_tf2_saved_model
from hub_keras_bridge.plans.endpoint import Endpoint
from hub_keras_bridge.plans.program import Programs
from hub_keras_bridge.plans.selection import select, warn_of_unfed_losses
from hub_keras_bridge.plans.trust import Trust, granted
from hub_keras_bridge.running import call_checks, replicas, xla
from hub_keras_bridge.running.first_values import first_values
from hub_keras_bridge.running.runtime import Runtime

# Two threads may make the first call of a layer at once.
_BUILDING = threading.RLock()


class _ByContent(abc.ABCMeta):
    """Makes of a handle the layer for what is there.

    ``__new__`` could choose the class, too, but not hand on what it has read: the
    caller's arguments go to ``__init__``, which would fetch and read all again.
    An ABCMeta, so that a subclass may be one.
    """

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is ModuleLayer:
            return cls._of(*args, **kwargs)
        return super().__call__(*args, **kwargs)

    def _of(cls, handle: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(handle, str | os.PathLike):
            _check_backend()
            path, name = resolve(handle), redact(os.fsdecode(handle))
            if is_tf2_saved_model(path, Subject(name)):
                return SavedModelLayer(source_of(path, name), *args, **kwargs)
            handle = read_module_spec(path, name)
        return super().__call__(handle, *args, **kwargs)

    @property
    def __signature__(cls) -> inspect.Signature:
        """That of ``__init__``, where help and editors would show that of ``__call__``."""
        _, *parameters = inspect.signature(cls.__init__).parameters.values()  # type: ignore[misc]
        return inspect.Signature(parameters)


@keras.saving.register_keras_serializable(package="hub_keras_bridge")
class ModuleLayer(xla.JitByOps, private_keras.OwnLosses, DirectCalls, metaclass=_ByContent):
    """Runs one signature of a TF1 Hub module, and fine-tunes it.

    The call returns the output named ``"default"``, or ``output_key``, or with
    ``as_dict=True`` a dict of all outputs. It takes a bare value where the
    signature has one input, else a dict by input name: NumPy arrays, lists,
    dense, ragged and sparse tensors. Dtypes and shapes are those of the
    signature (``layer.spec.get_input_info_dict()``), whatever the Keras dtype
    policy says, and so are those of the weights and of all that the module
    computes. Only an output in float32 is returned in the policy's compute
    dtype, as the layers after it expect: in float16 under ``mixed_float16``. As
    with any layer, ``dtype="float32"`` keeps it as it is.

    Under a ``tf.distribute`` strategy, make the layer inside its scope.

    Example:

    >>> import tensorflow as tf, hub_keras_bridge as hub
    >>> def module_fn():
    ...     x = tf.compat.v1.placeholder(tf.float32, [None, 2])
    ...     scale = tf.compat.v1.get_variable("scale", initializer=[[3.0, 5.0]])
    ...     hub.add_signature(inputs=x, outputs=x * scale)
    >>> layer = hub.ModuleLayer(hub.create_module_spec(module_fn), trainable=True)
    >>> layer([[1.0, 1.0]]).numpy().tolist()
    [[3.0, 5.0]]
    >>> list(layer.variable_map)
    ['scale']

    Args:
        handle: what :func:`resolve` takes, or a :class:`ModuleSpec`, whose
            variables then take their initializers' values. Where it leads to a
            TF2 SavedModel, a :class:`SavedModelLayer` is made instead.
        signature: name of the signature; ``"default"`` if None.
        output_key: name of the output to return; ``"default"`` if None.
        as_dict: whether to return all outputs by name.
        trainable: whether the module's TRAINABLE_VARIABLES are trained; its
            REGULARIZATION_LOSSES then are in ``layer.losses`` and its
            UPDATE_OPS run once per training call.
        trainable_patterns: a regular expression or a list of them; only
            variables whose TF1 name one of them is found in are trained.
        tags: which variant runs; the empty set if None.
        training_tags: which variant runs in a call with ``training=True`` of a
            trainable layer; ``tags | {"train"}`` if None and there is such a
            variant, else ``tags``.
        safe_mode: whether to refuse a module that reaches outside its own
            graph (files, network, Python).
        trusted_ops: names of ops that it may reach outside with even so, as an
            audit tells them.
        **kwargs: those of ``keras.layers.Layer``, such as ``name``.

    Raises:
        BackendError: Keras runs on another backend than TensorFlow.
        HandleError: the handle leads nowhere.
        FormatError: what it leads to is no TF1 Hub module.
        InputError: ``dtype`` is none of the floats.
        TagsError: no variant has these tags.
        SignatureError: no such signature or output.
        TrainingError: a pattern matches no trainable variable.
        UnsafeModuleError: safe mode refuses an op.
        UnknownOpError: TensorFlow lacks an op of the module.
    """

    def __init__(
        self,
        handle: str | os.PathLike[str] | ModuleSpec,
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
        **kwargs: Any,
    ) -> None:
        _check_backend()
        super().__init__(trainable=trainable, autocast=False, **kwargs)
        private_keras.take_inputs_as_they_are(self)
        spec = load_module_spec(handle)
        need_float_policy(super().compute_dtype, spec.subject)
        self._handle = spec.files.name
        self._selection = select(
            spec,
            signature=signature,
            output_key=output_key,
            as_dict=as_dict,
            trainable_patterns=trainable_patterns,
            tags=tags,
            training_tags=training_tags,
        )
        self._trust = Trust.of(safe_mode, trusted_ops)
        self._shapes = ShapeMemory()
        self._module = self._read(spec)
        self._runtime = self._make_runtime()

    def _read(self, spec: ModuleSpec) -> _Module:
        return _Module(
            spec, *self._selection.endpoints(Programs(spec), self._trust, self.trainable)
        )

    def _make_runtime(self) -> Runtime:
        return Runtime(self._module.variables, self.spec.files.assets, self._trust)

    # --- the module ---

    def _repr_html_(self) -> str:
        """The module's signatures, where a notebook shows the layer."""
        use = f"ModuleLayer {self.name!r}, signature {self._module.endpoint.signature!r}"
        variants = [self.spec.variant(tags) for tags in self.spec.get_tags()]
        return signature_table(f"{use} of {self._handle!r}", variants)

    @property
    def spec(self) -> ModuleSpec:
        """What the module is."""
        return self._module.spec

    @property
    def variable_map(self) -> dict[str, keras.Variable | list[keras.Variable]]:
        """TF1 name -> variable, or the list of a partitioned one's slices."""
        self._ensure_built()
        return by_name(self._module.weights)

    def export_module(self, path: str | os.PathLike[str]) -> None:
        """Writes a TF1 Hub module with the current weights.

        It has all variants, signatures, assets and attachments that the module
        came with; the original library loads it too.

        Args:
            path: the directory to make; it may exist, without any file of a module.

        Raises:
            ExportError: the target is taken or cannot be written.
        """
        self._ensure_built()
        self._need_graphs("export")
        values = [(facts, private_keras.raw_variable(v)) for facts, v in self._module.weights]
        module_writing.write_module(
            os.fspath(path),
            self.spec.files,
            (lambda prefix: write_checkpoint(prefix, values)) if values else None,
        )

    def hold_vocabularies(self) -> None:
        """Lets what is exported from now on fill its tables without files.

        Their entries become constants, for readers such as TensorFlow Lite
        that know no asset files.
        """
        self._ensure_built()
        self._runtime.hold_vocabularies()

    def _need_graphs(self, purpose: str) -> None:
        if self.spec.files.facts_only:
            raise HandleError(
                f"Cannot {purpose} a TF1 Hub module: its graphs are not here.",
                self.spec.subject,
                expected="the module's folder, or a .keras file that has it inside",
                found="a layer made from a config alone",
                advice="put the module back, or load a .keras file of the model: an .h5 file or "
                "a config holds no module",
            )

    # --- Keras: building and calling ---

    @tf.autograph.experimental.do_not_convert
    def build(self, input_shape: Any = None) -> None:  # noqa: ARG002
        """Creates the weights; needs no input shape.

        Raises:
            CheckpointError: the checkpoint lacks a variable that is needed.
        """
        if self.built:
            return
        self._need_eager_execution()
        needed = self._selection.needed(self.spec, self.trainable)
        with _BUILDING:
            if self._module.has_weights:
                return
            try:
                # Outside any graph that the first call happens to be in.
                with (
                    tf.init_scope(),
                    private_keras.outside_stateless_scope(),
                    tf.variable_creator_scope(_without_name_scope),
                    tf.variable_creator_scope(replicas.create_as_distributable),
                ):
                    self._create_weights(needed)
            except Exception:
                self._module.variables.clear()
                private_keras.forget_weights(self)
                raise
            self._module.has_weights = True
        if self.trainable and not self.spec.files.facts_only:
            warn_of_unfed_losses(self._module.training_endpoint)

    def _need_eager_execution(self) -> None:
        call_checks.need_eager_execution(
            "Cannot use a ModuleLayer in a TF1 graph.",
            self.spec.subject,
            advice="use hub.Module there, or the layer outside the graph",
        )

    def _create_weights(self, needed: Collection[str]) -> None:
        trained = self._selection.trained(self.spec)
        values = first_values(self.spec, self._selection.tags, needed, self._trust)
        for facts, value in values:
            variable = self.add_weight(
                # Keras takes no slash in the name of a weight.
                name=facts.node.replace("/", "."),
                shape=facts.shape,
                dtype=facts.dtype.name,
                initializer=_initializer(value),
                trainable=facts.node in trained,
            )
            self._module.variables[facts.node] = variable
            # So that a tf.train.Checkpoint finds it. TensorFlow's own: in a
            # SavedModel, Keras's has a copy that no function reads.
            private_tf.track_child(
                self, private_keras.raw_variable(variable), f"_weight:{facts.node}"
            )

    def _ensure_built(self) -> None:
        if not self.built:
            self.build()

    def _filling_tables(self) -> contextlib.AbstractContextManager[None]:
        """In a first call, fills the tables beside the reading of the weights."""
        if self.built or self.spec.files.facts_only:
            return contextlib.nullcontext()
        return self._runtime.filling_tables(self._module.endpoint)

    @tf.autograph.experimental.do_not_convert
    def __call__(self, inputs: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As Keras does it, of inputs that Keras lets through."""
        with self._filling_tables():
            return super().__call__(self._module.endpoint.unmixed(inputs), *args, **kwargs)

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs: Any = None, training: bool | None = None) -> Any:
        """Runs the signature.

        Args:
            inputs: a value, or a dict by input name.
            training: whether this is a training call; the variant and the
                update ops of ``training_tags`` run if the layer is trainable.

        Returns:
            One output, or all by name.

        Raises:
            InputError: the inputs do not fit the signature.
            StrategyError: a training call under a strategy made after the layer.
            XlaError: a call that XLA is to compile and cannot.
            BackendError: a call in stateless form.
        """
        self._need_eager_execution()
        self._need_graphs("run")
        call_checks.need_own_values(
            "Cannot call a ModuleLayer in stateless form.", self, self.spec.subject
        )
        learning = bool(training) and self.trainable
        module = self._module
        endpoint = module.training_endpoint if learning else module.endpoint
        xla.need_ops(
            lambda: xla.missing_ops(endpoint, training=learning),
            "Cannot compile a TF1 Hub module with XLA: it lacks some of the module's ops.",
            endpoint.subject,
        )
        flat = endpoint.bind(inputs)
        if learning:
            call_checks.need_own_strategy(self, self.spec.subject)
        run = self._runtime.call_function(endpoint, training=learning, watch=self.trainable)
        if self.trainable:
            private_tf.announce_variables(run)
        outputs = run(*flat)
        if self.trainable and endpoint.variant.losses:
            for loss in self._runtime.losses_function(endpoint)(*flat):
                self.add_loss(loss)
        return precision.to_output_dtypes(endpoint.pack(outputs), super().compute_dtype)

    def standing_losses(self) -> list[tf.Tensor]:
        """REGULARIZATION_LOSSES of current weights; none when frozen."""
        module = self._module
        if not module.has_weights or not self.trainable or module.spec.files.facts_only:
            return []
        return self._runtime.standing_losses(module.training_endpoint.program)

    # --- Keras: XLA ---

    def _missing_ops(self) -> dict[str, str] | None:
        if self.spec.files.facts_only:
            return None
        module = self._module
        missing = xla.missing_ops(module.endpoint, training=False)
        if self.trainable:
            missing |= xla.missing_ops(module.training_endpoint, training=True)
        return missing

    @property
    def _subject(self) -> Subject:
        return self._module.endpoint.subject

    # --- Keras: dtypes and shapes ---

    @property
    def compute_dtype(self) -> str:
        """The dtype of the signature's input, so that Sequential asks for it."""
        infos = (
            list(self._module.endpoint.facts.inputs.values()) if hasattr(self, "_module") else []
        )
        return infos[0].dtype.name if len(infos) == 1 else super().compute_dtype

    @property
    def variable_dtype(self) -> str:
        """As ``compute_dtype``; each weight has its own dtype anyway."""
        return self.compute_dtype

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shapes of the outputs for inputs of these shapes."""
        given = self._module.endpoint.by_name(input_shape)
        found = self._outputs_for({name: tf.TensorShape(shape) for name, shape in given.items()})
        return tf.nest.map_structure(lambda tensor: tuple(tensor.shape), found)

    def compute_output_spec(
        self,
        inputs: Any = None,
        training: bool | None = None,  # noqa: ARG002
    ) -> Any:
        """Shapes and dtypes of the outputs for symbolic inputs.

        Raises:
            InputError: the inputs can never fit the signature.
            StrategyError: a layer to be trained under a strategy made after it.
        """
        call_checks.need_own_strategy(self, self.spec.subject)
        return self._outputs_for(symbolic_inputs(self._module.endpoint, inputs))

    def _outputs_for(self, shapes: Mapping[str, tf.TensorShape]) -> Any:
        endpoint = self._module.endpoint
        has_graph = not self.spec.files.facts_only
        specs = self._shapes.output_specs(endpoint, shapes, has_graph, self._trust)
        return symbolic_outputs(endpoint, specs, super().compute_dtype)

    # --- Keras: saving ---

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, and the module's facts."""
        return {
            **super().get_config(),
            "handle": self._handle,
            **self._selection.to_config(),
            **self._trust.to_config(),
            "module": saving.describe(self.spec),
            "inferred_shapes": self._shapes.to_json(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ModuleLayer:
        """The inverse of :meth:`get_config`."""
        config = dict(config)
        description = config.pop("module", None)
        inferred = config.pop("inferred_shapes", "{}")
        if private_keras.loads_in_safe_mode():
            # Who wrote the archive does not decide that it is to be trusted.
            config |= {"safe_mode": True, "trusted_ops": granted()}
        handle = config.pop("handle")
        source = saving.revive(description, handle) if description else handle
        layer = cls(source, **config)
        layer._handle = handle
        layer._shapes = ShapeMemory(inferred)
        return layer

    def save_own_variables(self, store: Any) -> None:
        """Writes the weights by TF1 name."""
        self._ensure_built()
        saving.save_weights(store, self._module.weights)

    def load_own_variables(self, store: Any) -> None:
        """Reads the weights by TF1 name.

        Raises:
            CheckpointError: names or shapes differ.
        """
        # Before there are graphs: an archive's initializers are never run.
        self._ensure_built()
        saving.load_weights(store, self._module.weights, self.spec.subject)

    def save_assets(self, inner_path: str) -> None:
        """Writes graphs and vocabularies into a Keras archive."""
        self._need_graphs("save")
        saving.save_graphs(self.spec, inner_path)

    def load_assets(self, inner_path: str) -> None:
        """Takes graphs and vocabularies from a Keras archive.

        Raises:
            FormatError: config, weights and graphs do not belong together.
        """
        if not self.built:
            raise FormatError(
                "Cannot load a TF1 Hub module from a Keras archive: its weights are missing.",
                self.spec.subject,
                expected="weights by TF1 name",
                found="none",
                advice="save the model again; the archive is damaged",
            )
        spec = saving.load_graphs(inner_path, self._handle)
        if not saving.same_facts(spec, self.spec):
            raise FormatError(
                "Cannot load a TF1 Hub module from a Keras archive: config and graphs differ.",
                spec.subject,
                expected="the graphs that the layer's config describes",
                found="graphs with other signatures or variables",
                advice="save the model again; the archive is damaged",
            )
        variables = self._module.variables
        self._module = self._read(spec)
        self._module.variables.update(variables)
        self._module.has_weights = True
        self._runtime = self._make_runtime()


def _without_name_scope(create: Callable[..., tf.Variable], **kwargs: Any) -> tf.Variable:
    """Makes a variable whose name does not tell its layer's number.

    TensorFlow caches a kernel for every name a variable is ever made under, so
    that a process that loads again and again would grow. Keras has paths.
    """
    with tf.name_scope(""):
        return create(**kwargs)


def _initializer(value: Any) -> Callable[..., Any]:
    """A Keras initializer that knows its value already."""
    return lambda *_, **__: value


class _Module:
    """What a layer holds that neither Keras nor TensorFlow is to track."""

    def __init__(self, spec: ModuleSpec, endpoint: Endpoint, training_endpoint: Endpoint) -> None:
        self.spec = spec
        self.endpoint = endpoint
        self.training_endpoint = training_endpoint
        self.variables: dict[str, keras.Variable] = {}
        self.has_weights = False  # All of them.

    @property
    def weights(self) -> list[tuple[VariableFacts, keras.Variable]]:
        """The variables that there are, with what is known of them."""
        return [
            (f, self.variables[f.node]) for f in self.spec.variables if f.node in self.variables
        ]


def _check_backend() -> None:
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise BackendError(
            "Cannot make a ModuleLayer: a TF1 Hub module runs in TensorFlow only.",
            expected="Keras on the TensorFlow backend",
            found=f"Keras on {backend}",
            advice="set the environment variable KERAS_BACKEND=tensorflow before importing keras",
        )
