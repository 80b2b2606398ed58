"""From a module to an OpenVINO model."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import tensorflow as tf

from hub_keras_bridge.plans.numeric import NumericGraph
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running.engines.engine import EngineOptions
from hub_keras_bridge.running.engines.openvino import OpenVino
from hub_keras_bridge.running.engines.unreported import import_openvino
from hub_keras_bridge.tools.convert.engine_file import (
    EngineFile,
    Ports,
    Source,
    Target,
    choice_of,
    write,
)
from hub_keras_bridge.tools.convert.file_kinds import OPENVINO
from hub_keras_bridge.tools.convert.origin import Path


def to_openvino(
    handle: Source,
    path: Path,
    *,
    signature: str | None = None,
    output_key: str | Sequence[str] | None = None,
    tags: Collection[str] | None = None,
    examples: Any = None,
    safe_mode: bool = True,
    trusted_ops: Collection[str] = (),
) -> EngineFile:
    """Writes an OpenVINO model of one signature (extra ``[openvino]``).

    That is an ``.xml`` file with the graph, and a ``.bin`` file of the same name beside
    it with the weights as they are now, in full precision. Both come to be, or neither.
    Names, sizes and the comparison with TensorFlow are as :func:`to_onnx` has them.

    Args:
        handle: as of :func:`to_onnx`.
        path: the ``.xml`` file to make.
        signature: which signature; ``"default"`` if None.
        output_key: name or names of the outputs, inner tensors among them; all outputs
            if None.
        tags: which variant; the empty set if None. A layer has its own.
        examples: what the model is compared on, as of :func:`to_onnx`.
        safe_mode: whether to refuse a module that reaches outside its own graph; a layer
            has its own.
        trusted_ops: names of ops that it may reach outside with even so, as an audit
            tells them; a layer has its own.

    Returns:
        What is in the model, as of :func:`to_onnx`.

    Raises:
        ConversionError: the signature is not made of numbers alone, OpenVINO lacks an op,
            the model computes other numbers, or a package is missing.
        ExportError: a target is taken, has another ending or cannot be written.
        InputError: an example does not fit, or none can be made up.
        HubError: what :class:`ModuleLayer` raises.
    """
    choice = choice_of(handle, signature, output_key, tags, Trust.of(safe_mode, trusted_ops))
    target = Target(OPENVINO, OpenVino(), _ports)
    return write(target, handle, path, choice, examples, EngineOptions())


def _ports(path: str, graph: NumericGraph) -> tuple[Ports, Ports]:
    core = import_openvino().Core()
    # Else the file with the weights stays open.
    core.set_property({"ENABLE_MMAP": False})
    model = core.read_model(path)
    return (
        {name: _spec(name, model.input(name)) for name in graph.inputs},
        {name: _spec(name, model.output(name)) for name in graph.outputs},
    )


def _spec(name: str, port: Any) -> tf.TensorSpec:
    told = port.get_partial_shape()
    sizes = None
    if told.rank.is_static:
        sizes = [size.get_length() if size.is_static else None for size in told]
    return tf.TensorSpec(sizes, port.get_element_type().to_dtype(), name)
