"""A TF2 SavedModel behind a layer: what TensorFlow restored, its variables held by Keras."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NoReturn

import keras
import tensorflow as tf

from hub_keras_bridge.errors import (
    CheckpointError,
    ExportError,
    FormatError,
    HubError,
)
from hub_keras_bridge.facts.shown.signature_table import facts_table
from hub_keras_bridge.facts.signatures import DEFAULT_KEY
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.variables import VariableFacts
from hub_keras_bridge.frontends.keras3 import tf2_saving
from hub_keras_bridge.frontends.keras3.call_checks import need_own_values
from hub_keras_bridge.frontends.keras3.choice import Choice
from hub_keras_bridge.frontends.keras3.content import IN_A_GRAPH, Content, need_dtypes_of_keras
from hub_keras_bridge.frontends.keras3.pure_calls import symbol_dtype
from hub_keras_bridge.frontends.keras3.symbolic import spec_of
from hub_keras_bridge.frontends.keras3.tf2_calls import Tf2Calls
from hub_keras_bridge.frontends.keras3.tf2_calls_elsewhere import Tf2CallsElsewhere
from hub_keras_bridge.frontends.keras3.tf2_facts import Facts, facts_of
from hub_keras_bridge.frontends.keras3.tf2_frozen import frozen_call
from hub_keras_bridge.frontends.keras3.tf2_outputs import chosen_outputs
from hub_keras_bridge.frontends.keras3.tf2_saving import SavedModelSource
from hub_keras_bridge.frontends.keras3.tf2_weights import Tf2Weights
from hub_keras_bridge.frontends.tf2.restored_graph import compiled_nodes
from hub_keras_bridge.frontends.tf2.restored_model import RestoredModel
from hub_keras_bridge.frontends.tf2.restoring import no_variants, restore
from hub_keras_bridge.frontends.tf2.saved_model_file import KIND, SavedModelFile, subject_of
from hub_keras_bridge.plans.selection import check_patterns, trained_nodes
from hub_keras_bridge.running import xla
from hub_keras_bridge.running.backends.current import current
from hub_keras_bridge.running.frozen_call import FrozenCall
from hub_keras_bridge.running.place import need_eager_execution


class Tf2Content(Content):
    """A TF2 SavedModel; the layer holds the variables that came with it.

    Args:
        source: where it is.
        choice: what of it the layer uses.
        facts: what the layer is to know of it.
        restored: what TensorFlow made of it; None where it is not here.
        weights: its variables.
    """

    kind = KIND
    is_tf1_module = False
    graph_mode = "make and call the layer outside the graph"

    def __init__(
        self,
        source: SavedModelSource,
        choice: Choice,
        facts: Facts,
        restored: RestoredModel | None,
        weights: Tf2Weights,
    ) -> None:
        super().__init__(choice)
        self._source = source
        self._facts = facts
        self._restored = restored
        self._weights = weights
        self._calls = None if restored is None else self._calls_of(restored)

    def _calls_of(self, restored: RestoredModel) -> Tf2Calls | Tf2CallsElsewhere:
        backend, weights, subject = current(), self._weights, self.subject
        if backend is None:
            return Tf2Calls(restored, weights, self._chosen, subject)
        trust = self.choice.trust
        return Tf2CallsElsewhere(restored, weights, self._chosen, trust, subject, backend)

    @classmethod
    def of(
        cls, source: SavedModelSource, choice: Choice, file: SavedModelFile | None = None
    ) -> Tf2Content:
        """Restores a SavedModel, if it is here.

        Args:
            source: where it is.
            choice: what of it the layer uses.
            file: its graphs, if they were read already.

        Raises:
            GraphModeError: a TF1 graph is being built.
            TagsError, SignatureError, TrainingError: the choice does not fit.
            UnsafeModuleError: an op that is not trusted may reach outside.
            FormatError: the SavedModel is damaged.
        """
        subject = subject_of(source.name)
        need_eager_execution(IN_A_GRAPH, subject, advice=cls.graph_mode)
        if choice.training_tags is not None:
            raise no_variants(subject, choice.training_tags)
        if source.folder is None:
            assert source.facts is not None
            facts, restored = source.facts, None
        else:
            restored = _restore(file or SavedModelFile(source.folder, subject), choice)
            facts = facts_of(restored, subject)
        check_patterns(choice.patterns, facts.variables, subject)
        need_dtypes_of_keras(facts.variables, subject)
        trained = trained_nodes(choice.patterns, facts.variables)
        weights = Tf2Weights(facts.variables, trained, restored, current(), subject)
        return cls(source, choice, facts, restored, weights)

    def choosing(self, choice: Choice, trainable: bool, described: Any = None) -> Tf2Content:  # noqa: ARG002
        """Another signature of what TensorFlow restored."""
        if self._restored is None:
            facts = self._facts.taking(described)
            return Tf2Content(self._source, choice, facts, None, self._weights)
        restored = self._restored.running(choice.signature)
        restored.need_call()
        facts = facts_of(restored, self.subject)
        return Tf2Content(self._source, choice, facts, restored, self._weights)

    # --- what it is ---

    @property
    def name(self) -> str:
        """What the SavedModel is called, mostly its handle."""
        return self._source.name

    @property
    def is_here(self) -> bool:
        """Whether TensorFlow restored it."""
        return self._restored is not None

    @property
    def _model(self) -> RestoredModel:
        assert self._restored is not None
        return self._restored

    @property
    def input_dtype(self) -> str | None:
        """The dtype of the only input; of text that of its bytes, if need be."""
        dtypes = self._facts.input_dtypes
        if not isinstance(dtypes, str):
            return None
        return dtypes if current() is None else symbol_dtype(tf.as_dtype(dtypes)).name

    @property
    def input_names(self) -> Collection[str]:
        """Those of a nest that is a dict."""
        dtypes = self._facts.input_dtypes
        return dtypes if isinstance(dtypes, Mapping) else ()

    def table(self, title: str) -> str:
        """The SavedModel's own call, and its signatures."""
        if self._restored is None:
            return facts_table(f"{title} of {self.name!r}, which is not here", {})
        runs = f"{title}, signature {self._restored.runs!r} of {self.name!r}"
        return facts_table(runs, self._restored.interface)

    # --- weights ---

    @property
    def weights(self) -> list[tuple[VariableFacts, keras.Variable]]:
        """All variables; a name that came up before has its number behind it."""
        return list(zip(self._facts.variables, self._weights.variables, strict=True))

    @property
    def tracked(self) -> dict[str, Any]:
        """What TensorFlow restored; what gives seeds, if that is Keras."""
        seeds = self._weights.seeds
        return {"_restored": self._restored, **({"seed_generator": seeds} if seeds else {})}

    @property
    def held(self) -> Sequence[keras.Variable]:
        """All variables: they came with the SavedModel."""
        return self._weights.variables

    # --- calls ---

    def unmixed(self, inputs: Any) -> Any:
        """As :meth:`RestoredModel.unmixed`, or the same of arrays."""
        return inputs if self._calls is None else self._calls.unmixed(inputs)

    def run(
        self,
        inputs: Any,
        *,
        training: bool | tf.Tensor,
        trainable: bool,  # noqa: ARG002
    ) -> tuple[Any, Sequence[tf.Tensor]]:
        """Runs what TensorFlow restored; there are no losses that depend on inputs."""
        assert self._calls is not None
        return self._calls.run(_given(inputs), training), ()

    def _chosen(self, outputs: Any) -> Any:
        return chosen_outputs(outputs, self.choice, self.subject)

    def route(self) -> str:
        """As the plan of the call decides it, and the shapes that were met."""
        return (
            self._calls.route() if isinstance(self._calls, Tf2CallsElsewhere) else super().route()
        )

    def standing_losses(self) -> list[tf.Tensor]:
        """The regularization losses that it lists."""
        return [] if self._calls is None else self._calls.standing_losses()

    def missing_ops(self, *, training: bool, inputs: Any = None) -> dict[str, str]:
        """By the function for such inputs; where none are told, for those it was saved for."""
        if inputs is None:
            specs = self._model.input_specs
        else:
            specs = self.given(self._model.converted(_given(inputs)))
        return xla.lacking(compiled_nodes(self._model.trace(specs, training=training)))

    def frozen(self) -> FrozenCall:
        """The call that is not for training."""
        self.need_here("compile")
        need_own_values(self._weights.variables, self.subject)
        self._weights.tell(self._model)
        return frozen_call(self._model, self._chosen, self.choice.trust, self.subject)

    # --- symbols ---

    def undecided(self, inputs: Any) -> list[str]:
        """Of those that the SavedModel's first function takes, if it is here."""
        return [] if self._restored is None else self._restored.undecided(_given(inputs))

    def given(self, inputs: Any) -> Any:
        """All inputs, in the nest that they are in."""
        return tf.nest.map_structure(spec_of, _given(inputs))

    def given_shapes(self, shapes: Any) -> Any:
        """All inputs, in the nest that the shapes are in."""
        return _specs(self._facts.input_dtypes, shapes)

    def output_specs(self, given: Any) -> Any:
        """As the function for such inputs has it."""
        self.need_here("tell the output shapes of")
        outputs, _ = self._model.trace(given).structured_outputs
        return self._chosen(outputs)

    @property
    def output_name(self) -> str:
        """That of the output which was asked for."""
        return (*self.choice.keys, DEFAULT_KEY)[0]

    # --- Keras's configs and archives ---

    def describe(self) -> dict[str, Any]:
        """What graphs it has; its variables and inputs."""
        return {"identity": self._source.identity, "facts": self._facts.to_config()}

    def describe_choice(self) -> Any:
        """The dtypes of the inputs."""
        return self._facts.input_dtypes

    def save(self, folder: str) -> None:
        """Writes the SavedModel, without the weights that Keras writes.

        Its checkpoint has them as they were. What else that may have, no other file
        of the archive has: then all of it is written.
        """
        has_more = tf2_saving.count_of_values(self._source) > len(self._weights.variables)
        tf2_saving.copy_source(self._source, folder, with_values=has_more)

    def load(self, folder: str, trainable: bool) -> Tf2Content:  # noqa: ARG002
        """Takes the SavedModel, under the same weights, if it is not here already."""
        if self.is_here:
            return self
        copy = tf2_saving.kept_copy(folder)
        file = SavedModelFile(copy.name, self.subject)
        source = tf2_saving.source_of(file, self.name, copy)
        is_whole = tf2_saving.has_values(source)
        restored = _restore(file, self.choice, with_values=is_whole)
        facts = facts_of(restored, self.subject)
        if facts.variables != self._facts.variables:
            raise FormatError(
                "Cannot load a TF2 SavedModel from a Keras archive: config and graphs differ.",
                self.subject,
                expected="the variables that the layer's config describes",
                found="others",
                advice="save the model again; the archive is damaged",
            )
        if not is_whole and not restored.lists_all:
            raise FormatError(
                "Cannot load a TF2 SavedModel from a Keras archive: its values are missing.",
                self.subject,
                expected="its checkpoint, for variables that are no weights of the layer",
                found="none",
                advice="save the model again; the archive is damaged",
            )
        self._weights.move_to(restored)
        if not is_whole:
            # A clone of this layer takes its weights from there.
            tf2_saving.write_values(source, restored)
        tf2_saving.share(source)
        return Tf2Content(source, self.choice, self._facts, restored, self._weights)

    # --- what only a TF1 Hub module can ---

    @property
    def spec(self) -> ModuleSpec:
        """There is none."""
        self._refuse(
            FormatError,
            "A TF2 SavedModel has no ModuleSpec.",
            "use layer.variable_map for its variables and hub.load(handle).signatures for what "
            "goes in and out",
        )

    def load_checkpoint(
        self,
        checkpoint_path: str | bytes | os.PathLike[str],  # noqa: ARG002
        name_transform_fn: Callable[[str], str] | None,  # noqa: ARG002
    ) -> None:
        """It cannot: what TensorFlow 2 saves knows objects, not names."""
        self._refuse(
            CheckpointError,
            "Cannot load a checkpoint of a TF1 program into a TF2 SavedModel.",
            "assign values one by one: layer.variable_map[name].assign(tf.train.load_variable("
            "path, key)), where tf.train.list_variables(path) tells the keys",
        )

    def export(self, path: str) -> None:  # noqa: ARG002
        """It cannot be."""
        self._refuse(
            ExportError,
            "Cannot export a TF2 SavedModel as a TF1 Hub module.",
            "write the Keras model that the layer is in: model.save(path) with an ending of "
            ".keras, or model.export(path) as a SavedModel",
        )

    def hold_vocabularies(self) -> None:
        """It cannot be."""
        self._refuse(
            ExportError,
            "Cannot hold the vocabularies of a TF2 SavedModel in its graph.",
            "leave hold_vocabularies out: what is exported fills its tables from the files that "
            "the SavedModel came with",
        )

    def _refuse(self, error: type[HubError], problem: str, advice: str) -> NoReturn:
        raise error(
            problem,
            self.subject,
            expected="a layer made of a TF1 Hub module",
            found="a layer made of a TF2 SavedModel",
            advice=advice,
        )


def _restore(file: SavedModelFile, choice: Choice, *, with_values: bool = True) -> RestoredModel:
    with tf.init_scope():
        restored = restore(
            file,
            choice.tags,
            signature=choice.signature,
            trust=choice.trust,
            options=tf.saved_model.LoadOptions(experimental_skip_checkpoint=not with_values),
        )
    restored.need_call()
    return restored


def _given(inputs: Any) -> Any:
    return {} if inputs is None else inputs


def _specs(dtypes: Any, shapes: Any) -> Any:
    """Dense tensors for a nest of dtypes and the same nest of shapes."""
    if isinstance(dtypes, Mapping):
        return {name: _specs(dtype, shapes[name]) for name, dtype in dtypes.items()}
    if isinstance(dtypes, list):
        return [_specs(*pair) for pair in zip(dtypes, shapes, strict=True)]
    return tf.TensorSpec(shapes, dtypes)
