"""A TF1 Hub module behind a layer: variables by TF1 name, and a Runtime that runs plans."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from hub_keras_bridge.compat import keras as private_keras
from hub_keras_bridge.compat import tensorflow as private_tf
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
from hub_keras_bridge.frontends.keras3.stateless import run_stateless
from hub_keras_bridge.frontends.keras3.symbolic import ShapeMemory, known
from hub_keras_bridge.plans.endpoint import Endpoint
from hub_keras_bridge.plans.plan import Plan
from hub_keras_bridge.plans.program import Program, Programs
from hub_keras_bridge.plans.selection import select, warn_of_unfed_losses
from hub_keras_bridge.running import replicas, xla
from hub_keras_bridge.running.first_values import first_values
from hub_keras_bridge.running.runtime import Runtime
from hub_keras_bridge.running.shapes import inferred_outputs

# Two threads may make the first call of a layer at once.
_BUILDING = threading.RLock()


class Tf1Content(Content):
    """A TF1 Hub module; each of its variables is a weight that the layer makes.

    Args:
        spec: what the module is.
        choice: what of it the layer uses.
        trainable: whether there are training calls now.
        variables: all that it needs, by node, if there are any yet.

    Raises:
        TagsError, SignatureError, TrainingError: the choice does not fit.
        UnsafeModuleError: an op that is not trusted may reach outside.
        UnknownOpError: TensorFlow lacks an op of the module.
    """

    kind = "TF1 Hub module"
    is_tf1_module = True
    graph_mode = "use hub.Module there, or the layer outside the graph"

    def __init__(
        self,
        spec: ModuleSpec,
        choice: Choice,
        trainable: bool,
        variables: dict[str, keras.Variable] | None = None,
    ) -> None:
        super().__init__(choice)
        self._spec = spec
        need_dtypes_of_keras(spec.variables, self.subject)
        self._selection = select(
            spec,
            signature=choice.signature,
            output_key=choice.output_key,
            as_dict=choice.as_dict,
            trainable_patterns=choice.patterns,
            tags=choice.tags,
            training_tags=choice.training_tags,
        )
        endpoints = self._selection.endpoints(Programs(spec), choice.trust, trainable)
        self._inference, self._training = endpoints
        self._variables = variables or {}
        self._has_weights = variables is not None  # All of them.
        self._runtime = Runtime(self._variables, spec.files.assets, choice.trust)

    # --- what it is ---

    @property
    def name(self) -> str:
        """What the module is called, mostly its handle."""
        return self._spec.files.name

    @property
    def call_subject(self) -> Subject:
        """The signature that calls run."""
        return self._inference.subject

    @property
    def is_here(self) -> bool:
        """Whether the spec has graphs."""
        return not self._spec.files.facts_only

    @property
    def spec(self) -> ModuleSpec:
        """What the module is."""
        return self._spec

    @property
    def input_dtype(self) -> str | None:
        """The dtype of the signature's only input."""
        infos = list(self._inference.facts.inputs.values())
        return infos[0].dtype.name if len(infos) == 1 else None

    def table(self, title: str) -> str:
        """All signatures of all variants."""
        runs = f"{title}, signature {self._inference.signature!r} of {self.name!r}"
        return signature_table(runs, [self._spec.variant(tags) for tags in self._spec.get_tags()])

    # --- weights ---

    @property
    def weights(self) -> list[tuple[VariableFacts, keras.Variable]]:
        """The variables that were made."""
        made = self._variables
        return [(f, made[f.node]) for f in self._spec.variables if f.node in made]

    @property
    def tracked(self) -> dict[str, tf.Module | None]:
        """The runtime, with its tables and files."""
        return {"_runtime": self._runtime}

    def create_weights(self, layer: keras.layers.Layer) -> None:
        """Makes all variables, with their values."""
        needed = self._selection.needed(self._spec, layer.trainable)
        with _BUILDING:
            if self._has_weights:
                return
            try:
                # Outside any graph that the first call happens to be in.
                with (
                    tf.init_scope(),
                    private_keras.outside_stateless_scope(),
                    tf.variable_creator_scope(_without_name_scope),
                    tf.variable_creator_scope(replicas.create_as_distributable),
                ):
                    self._add_weights(layer, needed)
            except Exception:
                self._variables.clear()
                private_keras.forget_weights(layer)
                raise
            self._has_weights = True
        if layer.trainable and self.is_here:
            warn_of_unfed_losses(self._training)

    def _add_weights(self, layer: keras.layers.Layer, needed: Collection[str]) -> None:
        trained = self._selection.trained(self._spec)
        values = first_values(self._spec, self._selection.tags, needed, self.choice.trust)
        for facts, value in values:
            variable = layer.add_weight(
                # Keras takes no slash in the name of a weight.
                name=facts.node.replace("/", "."),
                shape=facts.shape,
                dtype=facts.dtype.name,
                initializer=_initializer(value),
                trainable=facts.node in trained,
            )
            self._variables[facts.node] = variable
            # So that a tf.train.Checkpoint finds it. TensorFlow's own: in a
            # SavedModel, Keras's has a copy that no function reads.
            private_tf.track_child(
                layer, private_keras.raw_variable(variable), f"_weight:{facts.node}"
            )

    def filling_tables(self) -> contextlib.AbstractContextManager[None]:
        """Fills those that a call reads."""
        if not self.is_here:
            return contextlib.nullcontext()
        return self._runtime.filling_tables(self._inference)

    # --- calls ---

    def unmixed(self, inputs: Any) -> Any:
        """As :meth:`Endpoint.unmixed`."""
        return self._inference.unmixed(inputs)

    def run(
        self, inputs: Any, *, training: bool, trainable: bool
    ) -> tuple[Any, Sequence[tf.Tensor]]:
        """Runs the signature, of the variant for training in a training call."""
        endpoint = self._training if training else self._inference
        flat = endpoint.bind(inputs)
        if private_keras.is_stateless():
            return self._run_stateless(endpoint, flat, training, trainable)
        run = self._runtime.call_function(endpoint, training=training, watch=trainable)
        if trainable:
            private_tf.announce_variables(run)
        outputs = endpoint.pack(run(*flat))
        if not trainable or not endpoint.variant.losses:
            return outputs, ()
        return outputs, self._runtime.losses_function(endpoint)(*flat)

    def _run_stateless(
        self, endpoint: Endpoint, flat: Sequence[tf.Tensor], training: bool, trainable: bool
    ) -> tuple[Any, Sequence[tf.Tensor]]:
        given = dict(zip(endpoint.facts.input_tensors, flat, strict=True))
        losses = endpoint.fed_losses if trainable else None
        chosen = endpoint.call(training=training)
        outputs = endpoint.pack(self._on_values(endpoint.program, chosen, given))
        return outputs, self._on_values(endpoint.program, losses, given) if losses else ()

    def _on_values(
        self, program: Program, chosen: Plan, given: Mapping[str, tf.Tensor]
    ) -> list[tf.Tensor]:
        return run_stateless(self._runtime, program, chosen, given, self._variables)

    def standing_losses(self) -> list[tf.Tensor]:
        """REGULARIZATION_LOSSES that need no input."""
        if not self._has_weights or not self.is_here:
            return []
        program = self._training.program
        if private_keras.is_stateless():
            chosen = program.standing_losses
            return self._on_values(program, chosen, {}) if chosen else []
        return self._runtime.standing_losses(program)

    def missing_ops(self, *, training: bool, inputs: Any = None) -> dict[str, str]:  # noqa: ARG002
        """By the plans of the call, whatever the inputs."""
        endpoint = self._training if training else self._inference
        return xla.missing_ops(endpoint, training=training)

    # --- shapes ---

    def given(self, inputs: Any) -> Any:
        """The dense inputs, by name."""
        shapes = {}
        for name, value in self._inference.by_name(inputs).items():
            if self._is_dense(name) and hasattr(value, "dtype"):
                dtype = tf.as_dtype(keras.backend.standardize_dtype(value.dtype))
                self._inference.check_shape(name, value.shape, dtype)
                shapes[name] = value.shape
        return self._dense(shapes)

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

    def describe(self) -> dict[str, Any]:
        """Signatures and variables."""
        return {"module": tf1_saving.describe(self._spec)}

    def recall(self, inferred_outputs: str, inferred_shapes: str) -> ShapeMemory:
        """Version 0.1.0 had shapes alone, those of outputs by components."""
        memory = super().recall(inferred_outputs, inferred_shapes)
        for shapes, flat in json.loads(inferred_shapes).items():
            memory.note(known(self._dense(json.loads(shapes))), known(self._packed(flat)))
        return memory

    def save(self, folder: str) -> None:
        """Writes graphs and vocabularies."""
        tf1_saving.save_graphs(self._spec, folder)

    def load(self, folder: str, trainable: bool) -> Tf1Content:
        """Takes graphs and vocabularies, under the same weights."""
        if not self._has_weights:
            raise FormatError(
                "Cannot load a TF1 Hub module from a Keras archive: its weights are missing.",
                self.subject,
                expected="weights by TF1 name",
                found="none",
                advice="save the model again; the archive is damaged",
            )
        spec = tf1_saving.load_graphs(folder, self.name)
        if not tf1_saving.same_facts(spec, self._spec):
            raise FormatError(
                "Cannot load a TF1 Hub module from a Keras archive: config and graphs differ.",
                self.subject,
                expected="the graphs that the layer's config describes",
                found="graphs with other signatures or variables",
                advice="save the model again; the archive is damaged",
            )
        return Tf1Content(spec, self.choice, trainable, self._variables)

    # --- what no TF2 SavedModel can ---

    def export(self, path: str) -> None:
        """Writes all of the module again, under current weights."""
        values = [(facts, private_keras.raw_variable(v)) for facts, v in self.weights]
        module_writing.write_module(
            path,
            self._spec.files,
            (lambda prefix: write_checkpoint(prefix, values)) if values else None,
        )

    def hold_vocabularies(self) -> None:
        """As :meth:`Runtime.hold_vocabularies`."""
        self._runtime.hold_vocabularies()


def _spec(info: ParsedTensorInfo, shape: Any) -> tf.TypeSpec:
    """Dtype and shape of an output whose first component has a shape."""
    if isinstance(info.type_spec, tf.TensorSpec):
        return tf.TensorSpec(shape, info.dtype)
    if isinstance(info.type_spec, tf.RaggedTensorSpec):
        return info.type_spec
    kind = tf.SparseTensorSpec if info.is_sparse else tf.TensorSpec
    return kind(info.get_shape(), info.dtype)


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
