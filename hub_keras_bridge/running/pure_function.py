"""A function of TensorFlow on values alone, as another framework calls it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    """

    run: Callable[..., list[tf.Tensor]]
    beyond_xla: Mapping[str, str]
    subject: Subject
    made: dict[Any, Any] = field(default_factory=dict)

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
            )
        found: PureFunction = self.made[key]
        return found

    def _gradients(
        self, wanted: Sequence[bool], given: Sequence[bool], *arguments: tf.Tensor
    ) -> list[tf.Tensor]:
        own, above = arguments[: len(wanted)], arguments[len(wanted) :]
        watched = [a for a, want in zip(own, wanted, strict=True) if want]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(watched)
            results = self.run(*own)
        sources = [r for r, has in zip(results, given, strict=True) if has]
        found = gradients(tape, sources, watched, above, self.subject)
        return [
            # A gradient by rows becomes a dense one.
            tf.zeros_like(argument) if gradient is None else tf.convert_to_tensor(gradient)
            for argument, gradient in zip(watched, found, strict=True)
        ]

    def result_specs(self, arguments: Sequence[tf.TensorSpec]) -> list[tf.TensorSpec]:
        """What it returns for arguments of these shapes, all dimensions known.

        What the graph does not tell is seen by running it on zeros.

        Raises:
            BackendError: it does not run on zeros.
        """
        traced = self.traced_for(arguments)
        if all(result.shape.is_fully_defined() for result in traced.outputs):
            return [tf.TensorSpec(result.shape, result.dtype) for result in traced.outputs]
        return self._tried(arguments)

    def _tried(self, arguments: Sequence[tf.TensorSpec]) -> list[tf.TensorSpec]:
        try:
            results = self.run(*(tf.zeros(each.shape, each.dtype) for each in arguments))
        except tf.errors.OpError as error:
            shapes = ", ".join(show_shape(each.shape) for each in arguments)
            raise BackendError(
                f"Cannot tell the shapes that a {self.subject.kind} returns, before it has values.",
                self.subject,
                expected="a graph that tells them, or that runs on inputs of zeros",
                found=f"neither, for arguments of the shapes {shapes}: {error.message}",
                advice="call the layer outside of jax.jit, or with run_eagerly=True in compile()",
            ) from error
        return [tf.TensorSpec(result.shape, result.dtype) for result in results]


def gradients(
    tape: tf.GradientTape,
    results: Sequence[tf.Tensor],
    arguments: Sequence[tf.Tensor],
    above: Iterable[tf.Tensor],
    subject: Subject,
) -> list[Any]:
    """Gradients of arguments, of those of results; None of one that no result depends on.

    Args:
        tape: that saw the call.
        results: what the call returned.
        arguments: what it was of.
        above: gradients of the results.
        subject: the call, for messages.

    Raises:
        TrainingError: the graph has no gradient.
    """
    try:
        found: list[Any] = tape.gradient(results, arguments, list(above))
    except LookupError as error:
        raise TrainingError(
            f"Cannot differentiate a {subject.kind}.",
            subject,
            expected="ops that TensorFlow has gradients of",
            found=str(error),
            advice="use the layer with trainable=False, on inputs that need no gradient",
        ) from error
    return found
