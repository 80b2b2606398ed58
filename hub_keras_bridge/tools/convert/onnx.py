"""From a module to an ONNX file."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import tensorflow as tf

from hub_keras_bridge.plans.numeric import NumericGraph
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running.engines.engine import EngineOptions
from hub_keras_bridge.running.engines.onnx_runtime import OnnxRuntime
from hub_keras_bridge.tools.convert.engine_file import (
    EngineFile,
    Ports,
    Source,
    Target,
    choice_of,
    write,
)
from hub_keras_bridge.tools.convert.file_kinds import ONNX
from hub_keras_bridge.tools.convert.origin import Path


def to_onnx(
    handle: Source,
    path: Path,
    *,
    signature: str | None = None,
    output_key: str | Sequence[str] | None = None,
    tags: Collection[str] | None = None,
    examples: Any = None,
    int8: bool = False,
    safe_mode: bool = True,
    trusted_ops: Collection[str] = (),
) -> EngineFile:
    """Writes an ONNX file of one signature, for ONNX Runtime and others (extra ``[onnx]``).

    Inputs and outputs have the signature's names; an output whose name an input has,
    too, gets a ``_`` behind it. Sizes that the signature leaves open stay open. The
    weights are in the file as they are now. ONNX Runtime opens it and is compared with
    TensorFlow before it is put in place.

    Args:
        handle: the module, a TF2 SavedModel, or a :class:`ModuleLayer`, of which the
            weights that it has now are written, and what it runs, where that is not
            told here.
        path: the ``.onnx`` file to make.
        signature: which signature; ``"default"`` if None.
        output_key: name or names of the outputs, inner tensors among them; all outputs
            if None.
        tags: which variant; the empty set if None. A layer has its own.
        examples: what the file is compared on: a batch as a call takes it, or a list of
            batches. Made up from the signature, in two sizes, if None.
        int8: whether to round the weights of matrix multiplications to 8 bits; what is
            returned then tells how far outputs are off by it.
        safe_mode: whether to refuse a module that reaches outside its own graph; a layer
            has its own.
        trusted_ops: names of ops that it may reach outside with even so, as an audit
            tells them; a layer has its own.

    Returns:
        What is in the file: ``inputs`` and ``outputs``, each name -> ``tf.TensorSpec``;
        ``unread``, inputs that no output needs, which the file has not; ``difference``
        from TensorFlow's numbers, as a part of the largest number in an output.

    Raises:
        ConversionError: the signature is not made of numbers alone, ONNX lacks an op, the
            file computes other numbers, or a package is missing.
        ExportError: the target is taken, has another ending or cannot be written.
        InputError: an example does not fit, or none can be made up.
        HubError: what :class:`ModuleLayer` raises.
    """
    choice = choice_of(handle, signature, output_key, tags, Trust.of(safe_mode, trusted_ops))
    target = Target(ONNX, OnnxRuntime(), _ports)
    return write(target, handle, path, choice, examples, EngineOptions(int8=int8))


def _ports(path: str, graph: NumericGraph) -> tuple[Ports, Ports]:
    import onnx

    found = onnx.load(path).graph
    inputs, outputs = ({v.name: v for v in values} for values in (found.input, found.output))
    return (
        {name: _spec(inputs[name]) for name in graph.inputs},
        {name: _spec(outputs[name]) for name in graph.outputs},
    )


def _spec(value: Any) -> tf.TensorSpec:
    import onnx

    told = value.type.tensor_type
    sizes = [d.dim_value if d.HasField("dim_value") else None for d in told.shape.dim]
    shape = sizes if told.HasField("shape") else None
    return tf.TensorSpec(shape, onnx.helper.tensor_dtype_to_np_dtype(told.elem_type), value.name)
