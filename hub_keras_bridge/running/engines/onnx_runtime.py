"""ONNX Runtime, by way of an ONNX file that tf2onnx makes."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from hub_keras_bridge.files import durable
from hub_keras_bridge.plans.numeric import NumericGraph
from hub_keras_bridge.running.engines.common_ops import in_common_ops
from hub_keras_bridge.running.engines.engine import EngineOptions, FileEngine, fails, lacks
from hub_keras_bridge.running.engines.packages import ONNX_RUNTIME
from hub_keras_bridge.running.engines.unreported import import_onnxruntime
from hub_keras_bridge.running.frozen_call import Run

# That of ONNX 1.12, of 2022; newer ones have nothing that tf2onnx 1.17 makes use of here.
_OPSET = 17


class OnnxRuntime(FileEngine):
    """Strong with convolutions, and with small batches on a CPU."""

    name = "onnxruntime"
    packages = ONNX_RUNTIME.names
    extra = ONNX_RUNTIME.extra
    ending = ".onnx"
    rounds = True

    def write(self, graph: NumericGraph, path: str, options: EngineOptions) -> None:
        """Writes one .onnx file; inputs and outputs have the names of the graph's."""
        model = _converted(graph)
        if unknown := _unknown_ops(model):
            raise lacks("ONNX Runtime", unknown)
        with open(path, "wb") as file:
            file.write(model.SerializeToString())
        if options.int8:
            _round(path)

    def open(self, path: str, options: EngineOptions) -> Run:
        """One session, which threads share; on a GPU where the installed package can."""
        onnxruntime = import_onnxruntime()
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 4  # What fails is raised.
        if options.threads:
            settings.intra_op_num_threads = options.threads
        there = onnxruntime.get_available_providers()
        providers = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in there]
        with open(path, "rb") as file:
            content = file.read()
        try:
            session = onnxruntime.InferenceSession(content, settings, providers=providers)
        except Exception as error:  # Its classes have no root that it publishes.
            raise fails("ONNX Runtime", error) from error
        names = [each.name for each in session.get_inputs()]
        outputs = [each.name for each in session.get_outputs()]
        return lambda arrays: session.run(outputs, dict(zip(names, arrays, strict=True)))


def _converted(graph: NumericGraph) -> Any:
    """An ``onnx.ModelProto``."""
    import tf2onnx

    with _quiet("tf2onnx", "tensorflow"):
        try:
            model, _ = tf2onnx.convert.from_graph_def(
                in_common_ops(graph.graph_def),
                input_names=list(graph.inputs.values()),
                output_names=list(graph.outputs.values()),
                opset=_OPSET,
                tensors_to_rename={
                    tensor: name for name, tensor in {**graph.inputs, **graph.outputs}.items()
                },
            )
        except Exception as error:  # tf2onnx has no class of its own for this.
            raise fails("ONNX Runtime", error) from error
    return model


def _unknown_ops(model: Any) -> list[str]:
    """Ops that ONNX does not have; tf2onnx leaves in what it cannot convert."""
    import onnx

    def nodes(graph: Any) -> Iterator[Any]:
        for node in graph.node:
            yield node
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.GRAPH:
                    yield from nodes(attribute.g)

    unknown = (n for n in nodes(model.graph) if not onnx.defs.has(n.op_type, n.domain))
    return sorted({node.op_type for node in unknown})


def _round(path: str) -> None:
    """Rounds the weights of matrix multiplications in a file."""
    import_onnxruntime()
    from onnxruntime.quantization import QuantType, quantize_dynamic

    rounded = f"{path}.rounded"
    with _quiet("root"):
        quantize_dynamic(path, rounded, weight_type=QuantType.QInt8)
    durable.rename(rounded, path)


@contextlib.contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Without what libraries log of what is checked here, or does not matter."""
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
