"""Runs a signature whose examples lie along the first dimension, in and out."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from hub_keras_bridge.errors import EngineError, HubError, TableError
from hub_keras_bridge.facts.outputs import signature_giving
from hub_keras_bridge.facts.reading import load_module_spec
from hub_keras_bridge.frontends.compiled.choosing import TENSORFLOW
from hub_keras_bridge.frontends.compiled.compile import AUTO, compile, engines_named
from hub_keras_bridge.frontends.compiled.examples import BATCH_SIZES
from hub_keras_bridge.frontends.keras3.module_layer import ModuleLayer
from hub_keras_bridge.running.backends.current import current
from hub_keras_bridge.running.engines.engine import first_line
from hub_keras_bridge.tools.apply.columns import to_columns
from hub_keras_bridge.tools.apply.first_compiled import FirstCompiled
from hub_keras_bridge.tools.apply.rows_of_signature import (
    fixed_size,
    require_inputs,
    require_rows_out,
)


class BatchRunner:
    """A module that is run for its results, batch by batch.

    One graph serves batches of any size. Several threads may run batches at
    once. Engines other than TensorFlow are tried on the first batch.

    Args:
        handle: what :func:`load_module_spec` takes.
        signature: name of the signature; ``"default"`` if None.
        output_key: name or names of the outputs, or of inner tensors; all outputs if None.
        tags: which variant; the empty set if None.
        fixed: values of inputs that are the same for all examples.
        engine: what runs it, as :func:`compile` has it; ``"tensorflow"`` is the layer,
            where Keras computes with TensorFlow.
        keep: a folder where :func:`compile` keeps what it made, if it is to.
        safe_mode: whether to refuse a module that reaches outside its graph.
        trusted_ops: names of ops that it may reach outside with even so, as an
            audit tells them.

    Attributes:
        inputs: what varies from example to example, by input name.
        outputs: what is returned, by output name.
        fixed_size: the batch size that the signature fixes, or None.
        subject: module, tags and signature, for messages.

    Raises:
        SignatureError: an input or output is not there, or has no dimension for
            the examples; or an output is sparse.
        EngineError: there is no such engine, or it is not installed.
        HubError: the module cannot be loaded; see ``ModuleLayer``.
    """

    def __init__(
        self,
        handle: Any,
        *,
        signature: str | None = None,
        output_key: str | Sequence[str] | None = None,
        tags: Collection[str] | None = None,
        fixed: Mapping[str, Any] | None = None,
        engine: str = TENSORFLOW,
        keep: str | os.PathLike[str] | None = None,
        safe_mode: bool = True,
        trusted_ops: Collection[str] = (),
    ) -> None:
        keys = (output_key,) if isinstance(output_key, str) else tuple(output_key or ())
        one = keys[0] if len(keys) == 1 else None
        asked: dict[str, Any] = {
            "signature": signature,
            "output_key": one or keys,
            "as_dict": not keys,
            "tags": tags,
            "safe_mode": safe_mode,
            "trusted_ops": trusted_ops,
        }
        # Not the handle: it may lead to a TF2 SavedModel, whose signatures are others.
        spec = load_module_spec(handle)
        layer = ModuleLayer(spec, **asked)
        variant = spec.variant(tags)
        facts = signature_giving(variant, signature, keys)
        self.subject = variant.subject.with_signature(signature or "default")
        self._fixed = dict(fixed or {})
        self._one = one
        require_inputs(self._fixed, facts.inputs, self.subject)
        self.inputs = {k: info for k, info in facts.inputs.items() if k not in self._fixed}
        self.outputs = {k: facts.outputs[k] for k in dict.fromkeys(keys or facts.outputs)}
        self.fixed_size = fixed_size(self.inputs, self.subject)
        require_rows_out(self.outputs, self.fixed_size, self.subject)
        engines_named(engine, self.subject)
        self._engine = engine
        if engine == TENSORFLOW and current() is None:
            layer.build()
            # Not by way of Keras, which puts words of its own before TensorFlow's.
            self._call: Callable[[Any], Any] | FirstCompiled = layer.call
        else:
            compiled = functools.partial(compile, spec, engine=engine, keep=keep, **asked)
            self._call = FirstCompiled(lambda batches: compiled(examples=batches))

    @property
    def engines(self) -> tuple[str, ...]:
        """The names of the engines that run it; none before the first batch has decided."""
        return self._call.engines if isinstance(self._call, FirstCompiled) else (TENSORFLOW,)

    def run(self, columns: Mapping[str, Any], rows: int, where: str) -> dict[str, Any]:
        """The outputs for some examples.

        Args:
            columns: input name -> tensor, examples along the first dimension.
            rows: how many examples.
            where: these examples, for messages.

        Returns:
            Output name -> array with ``rows`` rows (strings as ``bytes``), or
            for a ragged output a list of nested lists.

        Raises:
            TableError: the graph fails on them, or an output has other rows.
            EngineError: this is the first batch, and the engine cannot run the graph.
        """
        size = self.fixed_size or rows
        if size != rows:
            # The last example stands in for those that are missing.
            index = np.minimum(np.arange(size), rows - 1)
            columns = {name: tf.gather(column, index) for name, column in columns.items()}
        with self._telling(where):
            found = self._call({**columns, **self._fixed})
        by_name = found if self._one is None else {self._one: found}
        return {name: self._rows(name, by_name[name], size)[:rows] for name in self.outputs}

    def run_examples(self, examples: Sequence[Any]) -> list[Any]:
        """The outputs for each of some examples.

        Args:
            examples: each a dict by input name, or the value of the only input.

        Returns:
            For each example its output, an array without the batch dimension, or
            a dict by output name unless ``output_key`` named a single one.

        Raises:
            InputError: an example does not fit the signature.
            TableError: the graph fails on them, or an output has other rows.
            EngineError: these are the first, and the engine cannot run the graph.
        """
        if self._engine == AUTO and examples:
            self._try_engines(examples)
        found: list[Any] = []
        size = self.fixed_size or max(len(examples), 1)
        for start in range(0, len(examples), size):
            chunk = examples[start : start + size]
            columns = to_columns(chunk, self.inputs, self.subject)
            outputs = self.run(columns, len(chunk), f"a batch of {len(chunk)} examples")
            by_row = (
                dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)
            )
            found.extend(by_row if self._one is None else (row[self._one] for row in by_row))
        return found

    def _try_engines(self, examples: Sequence[Any]) -> None:
        """Where batches will have any size, they are tried at several, of these examples."""
        assert isinstance(self._call, FirstCompiled), "as any engine but TensorFlow's"

        def batches() -> Iterator[Mapping[str, Any]]:
            for size in [self.fixed_size] if self.fixed_size else BATCH_SIZES:
                repeated = [examples[index % len(examples)] for index in range(size)]
                yield {**to_columns(repeated, self.inputs, self.subject), **self._fixed}

        with self._telling(f"a batch of {len(examples)} examples"):
            self._call.need(lambda: list(batches()))

    @contextlib.contextmanager
    def _telling(self, where: str) -> Iterator[None]:
        """Says on which examples the graph failed."""
        try:
            yield
        except Exception as error:  # Of whatever class an engine has.
            # Before there are engines, an EngineError refuses the graph and not the examples.
            failed = isinstance(error, EngineError) and self.engines
            if isinstance(error, HubError) and not failed:
                raise
            raise TableError(
                f"A TF1 Hub module failed on {where}.",
                self.subject,
                found=_reason(error),
                advice="look at these examples; with batches of 1 the message names the one",
            ) from error

    def _rows(self, name: str, value: Any, size: int) -> Any:
        count = value.nrows() if isinstance(value, tf.RaggedTensor) else (*value.shape, None)[0]
        if count is None or int(count) != size:
            raise TableError(
                f"Output {name!r} of a TF1 Hub module has no row per example.",
                self.subject,
                expected=f"{size} rows for {size} examples",
                found=f"shape {list(value.shape)}",
                advice="choose other outputs (output_key, --output-key)",
            )
        if isinstance(value, tf.RaggedTensor):
            return value.to_list()
        array = value.numpy() if tf.is_tensor(value) else value
        # NumPy has no type of its own for bfloat16; float32 holds its values.
        return array.astype(np.float32) if array.dtype == tf.bfloat16.as_numpy_dtype else array


def _reason(error: Exception) -> str:
    """What an engine says; what TensorFlow says, without where: lines before it, nodes after it."""
    if isinstance(error, EngineError):
        return error.found or error.problem
    if not isinstance(error, tf.errors.OpError):
        return f"{type(error).__name__}: {first_line(error)}"
    lines = error.message.partition("\n\t [[")[0].splitlines()
    return lines[-1] if lines else type(error).__name__
