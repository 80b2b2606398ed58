"""What is behind a layer's handle, as the layer sees it, whatever kind it is of."""

from __future__ import annotations

import abc
import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from hub_keras_bridge.errors import FormatError, HandleError, Subject
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.variables import VariableFacts
from hub_keras_bridge.frontends.keras3.choice import Choice
from hub_keras_bridge.frontends.keras3.symbolic import ShapeMemory
from hub_keras_bridge.running.frozen_call import FrozenCall

IN_A_GRAPH = "Cannot use a ModuleLayer in a TF1 graph."


class Content(abc.ABC):
    """A TF1 Hub module or a TF2 SavedModel.

    Neither Keras nor TensorFlow tracks such an object. What of it they are to find,
    to save or to train it, are attributes of the layer.

    Args:
        choice: what of it the layer uses.

    Attributes:
        choice: as given.
        kind: what it is, for messages.
        is_tf1_module: whether it is a TF1 Hub module.
        graph_mode: what to do in a TF1 graph instead, for messages.
    """

    kind: str
    is_tf1_module: bool
    graph_mode: str

    def __init__(self, choice: Choice) -> None:
        self.choice = choice

    # --- what it is ---

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """The handle, as messages and configs have it."""

    @property
    def subject(self) -> Subject:
        """All of it, for messages."""
        return Subject(self.name, kind=self.kind)

    @property
    def call_subject(self) -> Subject:
        """What a call runs, for messages."""
        return self.subject

    @property
    @abc.abstractmethod
    def is_here(self) -> bool:
        """Whether there are graphs, not only what a config tells of them."""

    def need_here(self, purpose: str) -> None:
        """Checks that there are graphs.

        Args:
            purpose: what cannot be done without them, for the message.

        Raises:
            HandleError: there are none.
        """
        if not self.is_here:
            noun = self.kind.rpartition(" ")[-1]
            raise HandleError(
                f"Cannot {purpose} a {self.kind}: its graphs are not here.",
                self.subject,
                expected=f"the {noun}'s folder, or a .keras file that has it inside",
                found="a layer made from a config alone",
                advice=f"put the {noun} back, or load a .keras file of the model: an .h5 file or "
                f"a config holds no {noun}",
            )

    @property
    @abc.abstractmethod
    def spec(self) -> ModuleSpec:
        """What a TF1 Hub module is."""

    @property
    @abc.abstractmethod
    def input_dtype(self) -> str | None:
        """The dtype of the only input; None if there is not one."""

    @abc.abstractmethod
    def table(self, title: str) -> str:
        """What goes in and out, as HTML.

        Args:
            title: the layer, which stands above.
        """

    @property
    @abc.abstractmethod
    def input_names(self) -> Collection[str]:
        """What a call takes by name; empty where that is one value, or not known."""

    @abc.abstractmethod
    def choosing(self, choice: Choice, trainable: bool, described: Any = None) -> Content:
        """The same graphs on the same weights, of which a layer uses something else.

        Args:
            choice: what it uses.
            trainable: whether there are training calls now.
            described: what :meth:`describe_choice` said, if that is known.

        Raises:
            SignatureError: the choice does not fit.
            UnsafeModuleError: an op that is not trusted may reach outside.
        """

    # --- weights ---

    @property
    @abc.abstractmethod
    def weights(self) -> list[tuple[VariableFacts, keras.Variable]]:
        """The variables that there are, with what is known of them."""

    @property
    @abc.abstractmethod
    def tracked(self) -> dict[str, Any]:
        """Attribute of the layer -> what TensorFlow or Keras is to find there."""

    @property
    def held(self) -> Sequence[keras.Variable]:
        """The weights that are there from the start."""
        return ()

    def create_weights(self, layer: keras.layers.Layer) -> None:
        """Gives a layer that is being built the other weights.

        Raises:
            CheckpointError: the checkpoint lacks a variable that is needed.
        """
        del layer  # It has all that are held.

    def filling_tables(self) -> contextlib.AbstractContextManager[None]:
        """In a first call, fills lookup tables beside the reading of the weights."""
        return contextlib.nullcontext()

    # --- calls ---

    def need_trainable(self) -> None:
        """Checks what training calls alone run, before there are any.

        Raises:
            SignatureError: an output needs an input that the signature lacks.
            UnsafeModuleError: an op that is not trusted may reach outside.
            UnknownOpError: TensorFlow lacks an op.
        """
        return  # All was looked at, where ordinary calls run the same functions.

    @abc.abstractmethod
    def unmixed(self, inputs: Any) -> Any:
        """The inputs; of a nest with some tensors, the other values made tensors too.

        Keras, unless it converts inputs by itself, takes no nest of both.

        Raises:
            InputError: such a nest does not fit.
        """

    @abc.abstractmethod
    def run(
        self, inputs: Any, *, training: bool | tf.Tensor, trainable: bool
    ) -> tuple[Any, Sequence[tf.Tensor]]:
        """What a call returns, and the losses that depend on its inputs.

        Args:
            inputs: a value or a nest of values.
            training: whether this is a training call, or a tensor that will tell.
            trainable: whether a gradient tape is to see the variables.

        Raises:
            InputError: the inputs do not fit.
        """

    def route(self) -> str:
        """By what way ordinary calls reach TensorFlow, in words."""
        return "TensorFlow, with which Keras computes"

    def add_seeds(self, layer: keras.layers.Layer) -> None:
        """Gives a layer whose graphs have arrived what calls take seeds from."""
        del layer  # TensorFlow has its own.

    @abc.abstractmethod
    def standing_losses(self) -> list[tf.Tensor]:
        """The regularization losses that current weights alone decide."""

    @abc.abstractmethod
    def missing_ops(self, *, training: bool, inputs: Any = None) -> dict[str, str]:
        """What a call runs and XLA cannot compile, as :func:`xla.lacking` tells it.

        Args:
            training: whether it is a training call.
            inputs: what it is called with, if that is known.
        """

    @abc.abstractmethod
    def frozen(self) -> FrozenCall:
        """An inference call with the weights as they are now, or as they would be at first.

        Raises:
            ConversionError: the call needs its variables, not their values alone.
        """

    # --- symbols ---

    @abc.abstractmethod
    def undecided(self, inputs: Any) -> list[str]:
        """Which symbolic inputs fit or not by their values, each with its dtypes.

        Raises:
            InputError: one can never fit.
        """

    @abc.abstractmethod
    def given(self, inputs: Any) -> Any:
        """What decides the shapes of the outputs, of symbolic inputs: a nest of ``tf.TypeSpec``."""

    @abc.abstractmethod
    def given_shapes(self, shapes: Any) -> Any:
        """As :meth:`given`, of the shapes of dense inputs alone."""

    @abc.abstractmethod
    def output_specs(self, given: Any) -> Any:
        """What a call returns, a nest of tensors or ``tf.TypeSpec``.

        Args:
            given: what :meth:`given` returned.
        """

    @property
    @abc.abstractmethod
    def output_name(self) -> str:
        """The name of an output that is returned by itself."""

    # --- Keras's configs and archives ---

    @abc.abstractmethod
    def describe(self) -> dict[str, Any]:
        """What a config tells of it beside its name, ready for JSON."""

    def describe_choice(self) -> Any:
        """What a config tells of the choice, beside :meth:`describe` for another one."""
        return None

    def recall(self, inferred_outputs: str, inferred_shapes: str) -> ShapeMemory:  # noqa: ARG002
        """The output shapes that a config tells of.

        Args:
            inferred_outputs: what ``ShapeMemory.to_json`` gave.
            inferred_shapes: what stands there in configs of version 0.1.0.
        """
        return ShapeMemory(inferred_outputs)

    @abc.abstractmethod
    def save(self, folder: str) -> None:
        """Writes what an archive has beside the config and the weights."""

    @abc.abstractmethod
    def load(self, folder: str, trainable: bool) -> Content:
        """What :meth:`save` wrote, with the weights that the layer has by now.

        Args:
            folder: where it was written; it may go afterwards.
            trainable: whether there are training calls now.

        Raises:
            FormatError: config, weights and graphs do not belong together.
        """

    # --- TF1 Hub modules alone ---

    @abc.abstractmethod
    def load_checkpoint(
        self,
        checkpoint_path: str | bytes | os.PathLike[str],
        name_transform_fn: Callable[[str], str] | None,
    ) -> None:
        """Gives the weights the values of a TF1 program's checkpoint."""

    @abc.abstractmethod
    def export(self, path: str) -> None:
        """Writes a TF1 Hub module with the current weights."""

    @abc.abstractmethod
    def hold_vocabularies(self) -> None:
        """Lets what is exported from now on fill its tables without files."""


def need_dtypes_of_keras(variables: Iterable[VariableFacts], subject: Subject) -> None:
    """Checks that Keras can hold variables as weights.

    Raises:
        FormatError: it has no such dtype.
    """
    for facts in variables:
        try:
            keras.backend.standardize_dtype(facts.dtype.name)
        except ValueError as error:
            raise FormatError(
                f"Cannot make a weight of variable {facts.name!r} of a {subject.kind}.",
                subject,
                expected="a dtype that Keras has",
                found=facts.dtype.name,
                advice="use hub.load(handle), whose variables are TensorFlow's; if the "
                "publisher's framework has no such dtype either, fetch the module again",
            ) from error
