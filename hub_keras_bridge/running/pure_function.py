"""A function of TensorFlow on values alone, as another framework calls it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from hub_keras_bridge.errors import BackendError, Subject, TrainingError
from hub_keras_bridge.errors.words import show_shape


@dataclass(frozen=True, eq=False)
class PureFunction:
    """What a call computes, of all that it depends on.

    Attributes:
        run: from tensors to tensors, with no effect. Their number does not change, nor
            do their dtypes; shapes may.
        beyond_xla: what of it XLA cannot compile whatever the shapes, as
            :func:`xla.lacking` tells it.
        subject: the call, for messages.
        made: what backends keep of what they made of it.
        told: from the specs of its arguments to those of its results, where they are
            known without a look at the graph.
    """

    run: Callable[..., list[tf.Tensor]]
    beyond_xla: Mapping[str, str]
    subject: Subject
    made: dict[Any, Any] = field(default_factory=dict)
    told: Callable[[Sequence[tf.TensorSpec]], list[tf.TensorSpec]] | None = None

    def traced_for(self, arguments: Sequence[tf.TensorSpec]) -> Any:
        """The same as a ``tf.function`` traced once, for arguments of these shapes."""
        return tf.function(self.run, autograph=False).get_concrete_function(*arguments)

    def fixing(self, fixed: Mapping[int, tf.Tensor]) -> PureFunction:
        """The function of the other arguments, for values of some.

        Args:
            fixed: these, by their place among all arguments.
        """

        def run(*others: tf.Tensor) -> list[tf.Tensor]:
            remaining = iter(others)
            count = len(fixed) + len(others)
            return self.run(*(fixed[i] if i in fixed else next(remaining) for i in range(count)))

        # Values of TensorFlow's are not the program's, which would have them as constants.
        return PureFunction(run, {**self.beyond_xla, "Const": "an argument"}, self.subject)

    def gradient(self, wanted: Sequence[bool], given: Sequence[bool]) -> PureFunction:
        """The function from arguments and gradients of results to gradients of arguments.

        Args:
            wanted: of each argument whether its gradient is returned; of numbers that are
                no floats there is none.
            given: of each result whether its gradient is an argument, behind all
                arguments; that of the others is zero.

        Returns:
            A function that can be differentiated again; running it raises TrainingError
            where the graph has no gradient.
        """
        key = ("gradient", tuple(wanted), tuple(given))
        if key not in self.made:
            self.made[key] = PureFunction(
                functools.partial(self._gradients, tuple(wanted), tuple(given)),
                self.beyond_xla,
                self.subject,
                told=lambda specs: [s for s, want in zip(specs, wanted, strict=False) if want],
            )
        found: PureFunction = self.made[key]
        return found

    def _gradients(
        self, wanted: Sequence[bool], given: Sequence[bool], *arguments: tf.Tensor
    ) -> list[tf.Tensor]:
        own, above = arguments[: len(wanted)], arguments[len(wanted) :]
        watched = [a for a, want in zip(own, wanted, strict=True) if want]
        with differentiating(self.subject):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(watched)
                results = self.run(*own)
            found = tape.gradient(
                [r for r, has in zip(results, given, strict=True) if has],
                watched,
                list(above),
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
        # A gradient by rows becomes a dense one.
        return [tf.convert_to_tensor(gradient) for gradient in found]

    def result_specs(self, arguments: Sequence[tf.TensorSpec], traced: Any) -> list[tf.TensorSpec]:
        """What it returns for arguments of these shapes, all dimensions known.

        What the graph does not tell is seen by running it, on ones or zeros.

        Args:
            arguments: specs.
            traced: what :meth:`traced_for` made for them.

        Raises:
            BackendError: it does not run on these.
        """
        if self.told is not None:
            return self.told(arguments)
        if all(result.shape.is_fully_defined() for result in traced.outputs):
            return [tf.TensorSpec(result.shape, result.dtype) for result in traced.outputs]
        return self._tried(arguments)

    def _tried(self, arguments: Sequence[tf.TensorSpec]) -> list[tf.TensorSpec]:
        found = ""
        # Ones first: text of one word, sequences of one step. Of none, some graphs return none.
        for fill in tf.ones, tf.zeros:
            given = [fill(each.shape, each.dtype) for each in arguments]
            try:
                results = self.run(*given)
            except tf.errors.OpError as error:
                found = found or error.message
                continue
            # Frameworks leave out what computes nothing, and would not see that there is more.
            if not _are_empty(results) or _are_empty(given):
                return [tf.TensorSpec(result.shape, result.dtype) for result in results]
            found = found or "a result without any number"
        raise self._untold(arguments, found)

    def _untold(self, arguments: Sequence[tf.TensorSpec], found: str) -> BackendError:
        shapes = ", ".join(show_shape(each.shape) for each in arguments)
        return BackendError(
            f"Cannot tell the shapes that a {self.subject.kind} returns, before it has values.",
            self.subject,
            expected=f"a graph that tells them, or shows them on ones of the shapes {shapes}",
            found=found,
            advice="call the layer outside of jax.jit, or with run_eagerly=True in compile()",
        )


@contextlib.contextmanager
def differentiating(subject: Subject) -> Iterator[None]:
    """Says of what TensorFlow has no gradient, where it differentiates or prepares for it.

    Args:
        subject: the call.

    Raises:
        TrainingError: of an op.
    """
    try:
        yield
    except LookupError as error:
        if type(error) is not LookupError:
            raise
        raise TrainingError(
            f"Cannot differentiate a {subject.kind}.",
            subject,
            expected="ops that TensorFlow has gradients of",
            found=str(error),
            advice="use the layer with trainable=False, on inputs that need no gradient",
        ) from error


def _are_empty(tensors: Sequence[tf.Tensor]) -> bool:
    """Whether some have no elements."""
    return any(0 in tensor.shape for tensor in tensors)
