"""ModuleLayer: a TF1 Hub module as a Keras layer."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf
from absl import logging

from hub_keras_bridge import audit, compat, export, portable
from hub_keras_bridge.checkpoint import write_checkpoint
from hub_keras_bridge.endpoint import Endpoint
from hub_keras_bridge.errors import (
    BackendError,
    CheckpointError,
    FormatError,
    GraphModeError,
    HandleError,
    SignatureError,
    TrainingError,
    choices,
)
from hub_keras_bridge.initial import first_values
from hub_keras_bridge.plan import losses_fed_by, plan_all, standing_losses
from hub_keras_bridge.runtime import Runtime
from hub_keras_bridge.spec import ModuleSpec, as_tags, load_module_spec
from hub_keras_bridge.variant import VariableFacts

_TRAIN_TAG = "train"

# Two threads may make the first call of a layer at once.
_BUILDING = threading.RLock()


@keras.saving.register_keras_serializable(package="hub_keras_bridge")
class ModuleLayer(compat.OwnLosses):
    """Runs one signature of a TF1 Hub module, and fine-tunes it.

    The call returns the output named ``"default"``, or ``output_key``, or with
    ``as_dict=True`` a dict of all outputs. It takes a bare value where the
    signature has one input, else a dict by input name: NumPy arrays, lists,
    dense, ragged and sparse tensors. Dtypes and shapes are those of the
    signature (``layer.spec.get_input_info_dict()``); they do not follow the
    Keras dtype policy.

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
        handle: path of a module directory, or a :class:`ModuleSpec`, whose
            variables then take their initializers' values.
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
        **kwargs: those of ``keras.layers.Layer``, such as ``name``.

    Raises:
        BackendError: Keras runs on another backend than TensorFlow.
        HandleError: the handle leads nowhere.
        FormatError: what it leads to is no TF1 Hub module.
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
        **kwargs: Any,
    ) -> None:
        _check_backend()
        super().__init__(trainable=trainable, autocast=False, **kwargs)
        compat.take_inputs_as_they_are(self)
        # On a CPU XLA makes these graphs slower, and it has no strings or tables.
        self.supports_jit = False
        spec = load_module_spec(handle)
        self._handle = spec.files.name
        self._signature = signature
        self._output_key = output_key
        self._as_dict = as_dict
        self._patterns = _as_list(trainable_patterns)
        self._tags = as_tags(tags)
        self._training_tags = _training_tags(spec, self._tags, training_tags)
        self._safe_mode = safe_mode
        # Kept as JSON: Keras would wrap a dict, and it goes into the config.
        self._inferred = "{}"
        self._runtime: Runtime | None = None
        self._module = self._endpoints(spec)
        _check_patterns(self._patterns, self._trainable_facts(), spec)

    # --- the module ---

    @property
    def spec(self) -> ModuleSpec:
        """What the module is."""
        return self._module.spec

    @property
    def variable_map(self) -> dict[str, keras.Variable | list[keras.Variable]]:
        """TF1 name -> variable, or the list of a partitioned one's slices."""
        self._ensure_built()
        found: dict[str, keras.Variable | list[keras.Variable]] = {}
        for facts, variable in self._module.weights:
            if facts.full_shape is None:
                found[facts.name] = variable
            else:
                found.setdefault(facts.name, []).append(variable)
        return found

    def export_module(self, path: str | os.PathLike[str]) -> None:
        """Writes a TF1 Hub module with the current weights.

        It has all variants, signatures, assets and attachments that the module
        came with; the original library loads it too.

        Args:
            path: the directory to make; it must not exist, or be empty.

        Raises:
            ExportError: the target is taken or cannot be written.
        """
        self._ensure_built()
        self._need_graphs("export")
        values = [(facts, compat.raw_variable(v)) for facts, v in self._module.weights]
        export.write_module(
            os.fspath(path),
            self.spec.files,
            (lambda prefix: write_checkpoint(prefix, values)) if values else None,
        )

    def _endpoints(self, spec: ModuleSpec) -> _Module:
        """The module as this layer uses it; a graph that cannot run is known here."""
        wanted = self._signature, self._output_key, self._as_dict
        endpoint, training_endpoint = (
            Endpoint(spec.variant(tags), *wanted) for tags in (self._tags, self._training_tags)
        )
        if not spec.files.facts_only:
            # Once, where both calls run the same variant.
            for each in {e.variant.tags: e for e in (endpoint, training_endpoint)}.values():
                plans = plan_all(each.variant, each.signature, each.outputs)
                if self._safe_mode:
                    audit.require_safe(plans, each.subject)
        return _Module(spec, endpoint, training_endpoint)

    def _trainable_facts(self) -> list[VariableFacts]:
        variant = self.spec.variant(self._training_tags)
        return [facts for facts in variant.variables if facts.trainable]

    def _need_graphs(self, purpose: str) -> None:
        if self.spec.files.facts_only:
            raise HandleError(
                f"Cannot {purpose} a TF1 Hub module: its graphs are not here.",
                self.spec.subject,
                expected="the module's folder, or a .keras file that has it inside",
                found="a layer made from a config alone",
                advice="load the model with keras.models.load_model(...), or put the module back",
            )

    # --- Keras: building and calling ---

    def build(self, input_shape: Any = None) -> None:  # noqa: ARG002
        """Creates the weights; needs no input shape.

        Raises:
            CheckpointError: the checkpoint lacks a variable that is needed.
        """
        if self.built:
            return
        self._need_eager_execution()
        # What only a variant that never runs here needs may be absent.
        tags = [self._tags, *([self._training_tags] if self.trainable else [])]
        needed = {facts.node for t in tags for facts in self.spec.variant(t).variables}
        with _BUILDING:
            if self._runtime is not None:
                return
            try:
                # Outside any graph that the first call happens to be in.
                with (
                    tf.init_scope(),
                    compat.outside_stateless_scope(),
                    tf.variable_creator_scope(_without_name_scope),
                ):
                    self._create_weights(first_values(self.spec, self._tags, needed))
            except Exception:
                self._module.weights.clear()
                compat.forget_weights(self)
                raise
            self._start_runtime()
        self._warn_of_unfed_losses()

    def _need_eager_execution(self) -> None:
        if tf.executing_eagerly() or tf.inside_function():
            return
        raise GraphModeError(
            "Cannot use a ModuleLayer in a TF1 graph.",
            self.spec.subject,
            expected="eager execution, or a function of Keras or TensorFlow 2",
            found="a TF1 graph that is being built",
            advice="use hub.Module there, or the layer outside the graph",
        )

    def _create_weights(self, values: Iterable[tuple[VariableFacts, Callable[[], Any]]]) -> None:
        trained = {
            facts.node
            for facts in self._trainable_facts()
            if self._patterns is None or _found_in(self._patterns, facts)
        }
        for facts, value in values:
            variable = self.add_weight(
                # Keras takes no slash in the name of a weight.
                name=facts.node.replace("/", "."),
                shape=facts.shape,
                dtype=facts.dtype.name,
                initializer=_initializer(value),
                trainable=facts.node in trained,
            )
            self._module.weights.append((facts, variable))
            # An attribute, so that a tf.train.Checkpoint finds it.
            setattr(self, f"_weight:{facts.node}", variable)

    def _ensure_built(self) -> None:
        if not self.built:
            self.build()

    def _start_runtime(self) -> None:
        self._runtime = Runtime(
            {facts.node: variable for facts, variable in self._module.weights},
            self.spec.files.assets,
        )

    def _warn_of_unfed_losses(self) -> None:
        if self.spec.files.facts_only or not self.trainable:
            return
        endpoint = self._module.training_endpoint
        used = {
            *standing_losses(endpoint.variant),
            *losses_fed_by(endpoint.variant, endpoint.facts),
        }
        if left_out := [loss for loss in endpoint.variant.losses if loss not in used]:
            logging.warning(
                "Left out %d regularization loss(es) that depend on inputs which are not in the "
                "signature in use (%s): %s",
                len(left_out),
                endpoint.subject,
                choices(left_out),
            )

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
        """
        self._need_eager_execution()
        self._need_graphs("run")
        learning = bool(training) and self.trainable
        module = self._module
        endpoint = module.training_endpoint if learning else module.endpoint
        flat = endpoint.bind(inputs)
        runtime = self._runtime
        assert runtime is not None, "Keras builds a layer before it calls it"
        run = runtime.call_function(
            endpoint.variant,
            endpoint.signature,
            endpoint.outputs,
            training=learning,
            watch=self.trainable,
        )
        outputs = run(*flat)
        if self.trainable and endpoint.variant.losses:
            for loss in runtime.losses_function(endpoint.variant, endpoint.signature)(*flat):
                self.add_loss(loss)
        return endpoint.pack(outputs)

    def standing_losses(self) -> list[tf.Tensor]:
        """REGULARIZATION_LOSSES of current weights; none when frozen."""
        if self._runtime is None or not self.trainable or self.spec.files.facts_only:
            return []
        return self._runtime.standing_losses(self._module.training_endpoint.variant)

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
        endpoint = self._module.endpoint
        shapes = {
            name: tf.TensorShape(shape) for name, shape in endpoint.by_name(input_shape).items()
        }
        found = _symbolic(endpoint, self._output_specs(shapes))
        return keras.tree.map_structure(lambda tensor: tuple(tensor.shape), found)

    def compute_output_spec(
        self,
        inputs: Any = None,
        training: bool | None = None,  # noqa: ARG002
    ) -> Any:
        """Shapes and dtypes of the outputs for symbolic inputs."""
        endpoint = self._module.endpoint
        shapes = {}
        for name, value in endpoint.by_name(inputs).items():
            is_dense = isinstance(endpoint.facts.inputs[name].type_spec, tf.TensorSpec)
            if not is_dense or not hasattr(value, "dtype"):
                continue
            dtype = tf.as_dtype(keras.backend.standardize_dtype(value.dtype))
            endpoint.check_shape(name, value.shape, dtype)
            shapes[name] = tf.TensorShape(value.shape)
        specs = self._output_specs(shapes)
        return _symbolic(endpoint, specs)

    def _output_specs(self, shapes: dict[str, tf.TensorShape]) -> list[tf.TensorSpec]:
        """Inferred from the graph; remembered, for when only the config is here."""
        key = json.dumps({name: shape.as_list() for name, shape in sorted(shapes.items())})
        known = json.loads(self._inferred)
        declared = self._module.endpoint.declared()
        if key in known:
            return [
                tf.TensorSpec(shape, spec.dtype)
                for shape, spec in zip(known[key], declared, strict=True)
            ]
        if self.spec.files.facts_only:
            return declared
        specs = self._module.endpoint.infer(shapes)
        known[key] = [s.shape.as_list() if s.shape.rank is not None else None for s in specs]
        self._inferred = json.dumps(known)
        return specs

    # --- Keras: saving ---

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, and the module's facts."""
        return {
            **super().get_config(),
            "handle": self._handle,
            "signature": self._signature,
            "output_key": self._output_key,
            "as_dict": self._as_dict,
            "trainable_patterns": self._patterns,
            "tags": sorted(self._tags),
            "training_tags": sorted(self._training_tags),
            "safe_mode": self._safe_mode,
            "module": portable.describe(self.spec),
            "inferred_shapes": self._inferred,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ModuleLayer:
        """The inverse of :meth:`get_config`."""
        config = dict(config)
        description = config.pop("module", None)
        inferred = config.pop("inferred_shapes", "{}")
        if compat.loads_in_safe_mode():
            # Who wrote the archive does not decide that it is to be trusted.
            config["safe_mode"] = True
        handle = config.pop("handle")
        source = portable.revive(description, handle) if description else handle
        layer = cls(source, **config)
        layer._handle = handle
        layer._inferred = inferred
        return layer

    def save_own_variables(self, store: Any) -> None:
        """Writes the weights by TF1 name."""
        for facts, variable in self._module.weights:
            store[_store_key(facts)] = variable

    def load_own_variables(self, store: Any) -> None:
        """Reads the weights by TF1 name.

        Raises:
            CheckpointError: names or shapes differ.
        """
        wanted = {_store_key(facts): (facts, v) for facts, v in self._module.weights}
        if set(store.keys()) != set(wanted):
            raise CheckpointError(
                "Cannot load the weights of a TF1 Hub module: other variables were saved.",
                self.spec.subject,
                expected=choices(facts.node for facts, _ in wanted.values()),
                found=choices(key.replace("|", "/") for key in set(store.keys())),
                advice="load weights that were saved from a layer of the same module",
            )
        for key, (facts, variable) in wanted.items():
            value = store[key]
            if tuple(value.shape) != facts.shape:
                raise CheckpointError(
                    f"Cannot load weight {facts.node!r} of a TF1 Hub module.",
                    self.spec.subject,
                    expected=f"shape {list(facts.shape)}",
                    found=f"shape {list(value.shape)}",
                    advice="load weights that were saved from a layer of the same module",
                )
            variable.assign(value)

    def save_assets(self, inner_path: str) -> None:
        """Writes graphs and vocabularies into a Keras archive."""
        self._need_graphs("save")
        portable.save_graphs(self.spec, inner_path)

    def load_assets(self, inner_path: str) -> None:
        """Takes graphs and vocabularies from a Keras archive."""
        spec = portable.load_graphs(inner_path, self._handle)
        if not portable.same_facts(spec, self.spec):
            raise FormatError(
                "Cannot load a TF1 Hub module from a Keras archive: config and graphs differ.",
                spec.subject,
                expected="the graphs that the layer's config describes",
                found="graphs with other signatures or variables",
                advice="save the model again; the archive is damaged",
            )
        weights = self._module.weights
        self._module = self._endpoints(spec)
        self._module.weights = weights
        if self.built:
            self._start_runtime()


def _without_name_scope(create: Callable[..., tf.Variable], **kwargs: Any) -> tf.Variable:
    """Makes a variable whose name does not tell its layer's number.

    TensorFlow caches a kernel for every name a variable is ever made under, so
    that a process that loads again and again would grow. Keras has paths.
    """
    with tf.name_scope(""):
        return create(**kwargs)


def _initializer(value: Callable[[], Any]) -> Callable[..., Any]:
    """A Keras initializer that knows its value already."""
    return lambda *_, **__: value()


class _Module:
    """What a layer holds that neither Keras nor TensorFlow is to track."""

    def __init__(self, spec: ModuleSpec, endpoint: Endpoint, training_endpoint: Endpoint) -> None:
        self.spec = spec
        self.endpoint = endpoint
        self.training_endpoint = training_endpoint
        self.weights: list[tuple[VariableFacts, keras.Variable]] = []


def _symbolic(endpoint: Endpoint, specs: Sequence[tf.TensorSpec]) -> Any:
    """KerasTensors for what a call will return."""
    remaining = iter(specs)
    found = {}
    for key in endpoint.outputs:
        info = endpoint.facts.outputs[key]
        components = [next(remaining) for _ in info.tensor_names]
        is_dense = isinstance(info.type_spec, tf.TensorSpec)
        shape = components[0].shape if is_dense else info.get_shape()
        if shape.rank is None:
            raise SignatureError(
                f"Cannot use output {key!r} of a TF1 Hub module in a functional model: "
                "its rank is unknown.",
                endpoint.subject,
                expected="a shape with a known number of dimensions",
                found="none, neither in the signature nor from the graph",
                advice="call the layer inside a subclassed model, or in a layer of your own "
                "that reshapes the output",
            )
        found[key] = keras.KerasTensor(
            tuple(shape),
            info.dtype.name,
            sparse=info.is_sparse,
            **({"ragged": True} if isinstance(info.type_spec, tf.RaggedTensorSpec) else {}),
        )
    return found if endpoint.as_dict else found[endpoint.outputs[0]]


def _check_backend() -> None:
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise BackendError(
            "Cannot make a ModuleLayer: a TF1 Hub module runs in TensorFlow only.",
            expected="Keras on the TensorFlow backend",
            found=f"Keras on {backend}",
            advice="set the environment variable KERAS_BACKEND=tensorflow before importing keras",
        )


def _as_list(patterns: str | Sequence[str] | None) -> list[str] | None:
    if patterns is None:
        return None
    return [patterns] if isinstance(patterns, str) else list(patterns)


def _training_tags(
    spec: ModuleSpec, tags: frozenset[str], training_tags: Collection[str] | None
) -> frozenset[str]:
    if training_tags is not None:
        return as_tags(training_tags)
    with_train = tags | {_TRAIN_TAG}
    return with_train if with_train in spec.get_tags() else tags


def _found_in(patterns: Iterable[str], facts: VariableFacts) -> bool:
    return any(re.search(p, name) for p in patterns for name in (facts.name, facts.node))


def _check_patterns(
    patterns: list[str] | None, trainable: list[VariableFacts], spec: ModuleSpec
) -> None:
    for pattern in patterns or ():
        try:
            matched = any(_found_in([pattern], facts) for facts in trainable)
        except re.error as error:
            raise TrainingError(
                f"Cannot use {pattern!r} as one of trainable_patterns.",
                spec.subject,
                expected="a regular expression",
                found=str(error),
                advice="escape the characters that have a meaning, e.g. with re.escape",
            ) from error
        if not matched:
            raise TrainingError(
                f"The trainable pattern {pattern!r} matches no trainable variable.",
                spec.subject,
                expected=f"a part of one of {choices({facts.name for facts in trainable})}",
                found=repr(pattern),
                advice="patterns are searched for (re.search) in TF1 variable names",
            )


def _store_key(facts: VariableFacts) -> str:
    # A slash would make groups in an HDF5 file; TF1 names have no bar.
    return facts.node.replace("/", "|")
