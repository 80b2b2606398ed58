"""A loaded module as a layer of Keras 2, inside the layer that has feature columns.

That layer counts the weights and losses of such a one among its own, and freezes
and thaws it. This module alone needs Keras 2, so it is imported when there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import tensorflow as tf
import tf_keras

from hub_keras_bridge.errors import SignatureError, Subject, TrainingError
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.facts.signatures import DEFAULT_KEY, DEFAULT_SIGNATURE
from hub_keras_bridge.frontends.tf1.loaded_in_graph import GraphModule
from hub_keras_bridge.frontends.tf2.loaded_module import LoadedModule
from hub_keras_bridge.frontends.tf2.restored_model import RestoredModel


class KerasLayer(tf_keras.layers.Layer):
    """Runs a loaded module, from texts to vectors.

    It is called as in the original library, and so are the ops in its scope.

    Args:
        model: what :func:`load` returned.
        output_key: which output, where there are several by name.
        trainable: whether the variables are trained.
        subject: the module, for messages.
    """

    def __init__(
        self,
        model: RestoredModel | LoadedModule | GraphModule,
        output_key: str | None,
        *,
        trainable: bool,
        subject: Subject,
    ) -> None:
        super().__init__(trainable=trainable)
        self._subject = subject
        self._signature: Any = None
        trained: set[int] = set()
        if isinstance(model, RestoredModel):
            self._run = _call(model)
            trained |= {id(variable) for variable in model.trainable_variables}
            for loss in model.regularization_losses:
                self.add_loss(self._while_trained(loss))
        else:
            self._signature = _signature(model, subject)
            self._run = _run_signature(self._signature)
        self._output_key = output_key or (DEFAULT_KEY if self._signature else None)
        # For Keras 2 to save: the tables are in here.
        self._func = getattr(model, "restored", model)
        self._hold((v for v in model.variables if id(v) in trained), trainable=True)
        self._hold((v for v in model.variables if id(v) not in trained), trainable=False)

    def _hold(self, variables: Iterable[tf.Variable], *, trainable: bool) -> None:
        for variable in variables:
            self.add_weight(
                name=variable.name,
                shape=variable.shape,
                dtype=variable.dtype,
                trainable=trainable,
                experimental_autocast=False,
                getter=lambda *_, variable=variable, **__: variable,
            )

    def _while_trained(self, loss: Callable[[], tf.Tensor]) -> Callable[[], Any]:
        return lambda: loss() if self.trainable else 0.0

    @tf.autograph.experimental.do_not_convert
    def call(self, texts: tf.Tensor, training: Any = None) -> tf.Tensor:
        """A vector for each text.

        Args:
            texts: a batch of them.
            training: whether this is a training call; it is one only of a
                trainable layer.

        Raises:
            SignatureError: there is no such output.
            TrainingError: a TF1 Hub module is to be trained.
        """
        if self.trainable and self._signature:
            raise TrainingError(
                "Cannot train a TF1 Hub module in a feature column for SavedModels.",
                self._subject,
                expected="trainable=False, or a SavedModel of TensorFlow 2",
                found="trainable=True",
                advice="convert the module with tf.saved_model.save(hub.load(handle), path), and "
                "make the column of the path; or use hub.text_embedding_column in a TF1 graph",
            )
        if not self.trainable:
            training = False
        elif training is None:
            training = tf_keras.backend.learning_phase()
        return self._chosen(self._run(texts, training=training))

    def _chosen(self, outputs: Any) -> Any:
        key = self._output_key
        if key is None:
            return outputs
        if not isinstance(outputs, Mapping) or key not in outputs:
            raise SignatureError(
                f"A module has no output {key!r} for a feature column.",
                self._subject,
                expected=f"one of {choices(outputs)}"
                if isinstance(outputs, Mapping)
                else "no output_key: there is one output, without a name",
                found=f"output_key={key!r}",
                advice="pass another output_key=..., or none where there is one output",
            )
        return outputs[key]

    def vector_shape(self) -> tf.TensorShape:
        """The shape of the vector of one text.

        Raises:
            SignatureError: the module gives no single tensor.
        """
        if self._signature:
            vectors = self._chosen(self._signature.structured_outputs)
        else:
            batch = tf.TensorSpec([None], tf.string, name="text")
            traced = tf.function(self, autograph=False).get_concrete_function(batch)
            vectors = traced.structured_outputs
        if not isinstance(vectors, tf.Tensor | tf.TensorSpec):
            by_name = isinstance(vectors, Mapping)
            raise SignatureError(
                "Cannot make a feature column: the module does not return a single tensor.",
                self._subject,
                expected=f"output_key=... with one of {choices(vectors)}"
                if by_name
                else "a tensor of vectors",
                found="no output_key" if by_name else f"a {type(vectors).__name__}",
                advice="name the output that is the vectors"
                if by_name
                else "use the module in a layer or function of your own",
            )
        return vectors.shape[1:]


def _call(model: RestoredModel) -> Callable[..., Any]:
    # The model itself Keras would track, with lists of variables that it knows.
    return lambda texts, training: model(texts, training=training)


def _signature(model: LoadedModule | GraphModule, subject: Subject) -> Any:
    """The signature in use, which gives all outputs; the module's call gives one."""
    signature: Any = getattr(model, "serve", None) or model.signatures[DEFAULT_SIGNATURE]
    _, by_name = signature.structured_input_signature
    if len(by_name) != 1:
        raise SignatureError(
            "A module does not take texts alone, as a feature column does.",
            subject,
            expected="a signature of one input",
            found=choices(by_name),
            advice="use the module in a layer or function of your own",
        )
    return signature


def _run_signature(signature: Any) -> Callable[..., Mapping[str, tf.Tensor]]:
    _, (name,) = signature.structured_input_signature
    return lambda texts, training: signature(**{name: texts})  # noqa: ARG005
