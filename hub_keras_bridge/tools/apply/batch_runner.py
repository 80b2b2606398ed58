"""Runs a signature whose examples lie along the first dimension, in and out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from hub_keras_bridge.errors import SignatureError, TableError
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.facts.outputs import signature_giving
from hub_keras_bridge.facts.reading import load_module_spec
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.frontends.keras3.module_layer import ModuleLayer
from hub_keras_bridge.tools.apply.columns import to_columns


class BatchRunner:
    """A module that is run for its results, batch by batch.

    One graph serves batches of any size. Several threads may run batches at
    once.

    Args:
        handle: what :func:`load_module_spec` takes.
        signature: name of the signature; ``"default"`` if None.
        output_key: name or names of the outputs, or of inner tensors; all outputs if None.
        tags: which variant; the empty set if None.
        fixed: values of inputs that are the same for all examples.
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
        safe_mode: bool = True,
        trusted_ops: Collection[str] = (),
    ) -> None:
        keys = (output_key,) if isinstance(output_key, str) else tuple(output_key or ())
        one = keys[0] if len(keys) == 1 else None
        self._layer = ModuleLayer(
            # Not the handle: it may lead to a TF2 SavedModel, whose signatures are others.
            load_module_spec(handle),
            signature=signature,
            output_key=one or keys,
            as_dict=not keys,
            tags=tags,
            safe_mode=safe_mode,
            trusted_ops=trusted_ops,
        )
        spec = self._layer.spec
        variant = spec.variant(tags)
        facts = signature_giving(variant, signature, keys)
        self.subject = variant.subject.with_signature(signature or "default")
        self._fixed = dict(fixed or {})
        self._one = one
        self._require_inputs(self._fixed, facts.inputs)
        self.inputs = {k: info for k, info in facts.inputs.items() if k not in self._fixed}
        self.outputs = {k: facts.outputs[k] for k in dict.fromkeys(keys or facts.outputs)}
        self.fixed_size = self._find_fixed_size()
        self._require_rows_out()
        self._layer.build()

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
        """
        size = self.fixed_size or rows
        if size != rows:
            # The last example stands in for those that are missing.
            index = np.minimum(np.arange(size), rows - 1)
            columns = {name: tf.gather(column, index) for name, column in columns.items()}
        try:
            # Not by way of Keras, which puts words of its own before TensorFlow's.
            found = self._layer.call({**columns, **self._fixed})
        except tf.errors.OpError as error:
            raise TableError(
                f"A TF1 Hub module failed on {where}.",
                self.subject,
                found=_reason(error),
                advice="look at these examples; with batches of 1 the message names the one",
            ) from error
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
        """
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
        # NumPy has no type of its own for bfloat16; float32 holds its values.
        return (tf.cast(value, tf.float32) if value.dtype == tf.bfloat16 else value).numpy()

    def _require_inputs(
        self, wanted: Collection[str], known: Mapping[str, ParsedTensorInfo]
    ) -> None:
        if unknown := set(wanted) - known.keys():
            raise SignatureError(
                f"A signature of a TF1 Hub module has no input {choices(unknown)}.",
                self.subject,
                expected=f"some of {choices(known)}",
                found=choices(wanted),
                advice="choose from the signature's inputs",
            )

    def _find_fixed_size(self) -> int | None:
        """The first dimension that the inputs have in common, if they fix it."""
        shapes = {name: info.get_shape() for name, info in self.inputs.items()}
        scalars = [name for name, shape in shapes.items() if shape.rank == 0]
        if scalars or not shapes:
            raise SignatureError(
                "Cannot run a signature of a TF1 Hub module over examples: "
                + ("an input has no dimension for them." if scalars else "no input varies."),
                self.subject,
                expected="inputs whose first dimension is that of the examples",
                found=", ".join(f"{name!r}: {self.inputs[name]}" for name in shapes) or "none",
                advice=f"give {choices(scalars)} a value that is the same for all examples "
                "(fixed, --set NAME=VALUE)"
                if scalars
                else "call hub.ModuleLayer(...) once instead",
            )
        sizes = {shape.as_list()[0] for shape in shapes.values() if shape.rank} - {None}
        sparse = sizes and any(info.is_sparse for info in self.inputs.values())
        if len(sizes) > 1 or sparse:
            raise SignatureError(
                "Cannot run a signature of a TF1 Hub module over examples: "
                "its inputs fix the batch size in a way that cannot be met.",
                self.subject,
                expected="one batch size, of dense or ragged inputs",
                found=", ".join(f"{name!r}: {info}" for name, info in self.inputs.items()),
                advice="call hub.ModuleLayer(...) with whole batches instead",
            )
        return sizes.pop() if sizes else None

    def _require_rows_out(self) -> None:
        """Refuses outputs of which it is known already that they have no such rows."""
        for name, info in self.outputs.items():
            shape = info.get_shape()
            varies = shape.rank is None or (
                shape.rank and shape.as_list()[0] in (None, self.fixed_size)
            )
            if info.is_sparse or not varies:
                raise SignatureError(
                    f"Output {name!r} of a TF1 Hub module has no row per example.",
                    self.subject,
                    expected="a dense or ragged output whose first dimension is that of the "
                    "examples",
                    found=str(info),
                    advice="choose other outputs (output_key, --output-key)",
                )


def _reason(error: tf.errors.OpError) -> str:
    """What TensorFlow says, without where: lines before it, nodes after it."""
    lines = error.message.partition("\n\t [[")[0].splitlines()
    return lines[-1] if lines else type(error).__name__
