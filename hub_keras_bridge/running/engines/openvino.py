"""OpenVINO, which reads TensorFlow's graphs by itself."""

from __future__ import annotations

import os
import queue
import re
import tempfile
from collections import defaultdict
from typing import Any

import numpy as np

from hub_keras_bridge.errors import EngineError
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.plans.numeric import NumericGraph
from hub_keras_bridge.running.engines.common_ops import in_common_ops
from hub_keras_bridge.running.engines.engine import EngineOptions, FileEngine, fails, lacks
from hub_keras_bridge.running.engines.packages import OPENVINO
from hub_keras_bridge.running.engines.unreported import import_openvino
from hub_keras_bridge.running.frozen_call import Arrays, Run

_UNKNOWN = re.compile(r"No conversion rule found for operations: ([\w, ]+)")


class OpenVino(FileEngine):
    """Strong with convolutions and recurrent loops, on processors by Intel above all."""

    name = "openvino"
    packages = OPENVINO.names
    extra = OPENVINO.extra
    ending = ".xml"

    def write(self, graph: NumericGraph, path: str, options: EngineOptions) -> None:  # noqa: ARG002
        """Writes an .xml file with the graph, and a .bin beside it with the weights."""
        import_openvino().save_model(_converted(graph), path, compress_to_fp16=False)

    def open(self, path: str, options: EngineOptions) -> Run:
        """One compiled model, of which each thread takes a request of its own."""
        openvino = import_openvino()
        settings: dict[str, Any] = {
            # Where the processor could do with fewer bits, it would by itself.
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
        }
        if options.threads:
            settings["INFERENCE_NUM_THREADS"] = options.threads
        core = openvino.Core()
        try:
            # Read whole, or the files would have to stay.
            with open(path, "rb") as file, open(_weights(path), "rb") as weights:
                model = core.read_model(file.read(), weights.read())
            compiled = core.compile_model(model, "CPU", settings)
        except Exception as error:  # Its classes are not public.
            raise fails("OpenVINO", error) from error
        return _Requests(compiled)


class _Requests:
    """Runs a compiled model; a request that another thread is at is left to it."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def __call__(self, arrays: Arrays) -> Arrays:
        try:
            request = self._free.get_nowait()
        except queue.Empty:
            request = self._compiled.create_infer_request()
        # Shared with the request for the call alone, or it would keep buffers of one size.
        found = request.infer(dict(enumerate(arrays)), share_inputs=True, share_outputs=False)
        results = [np.asarray(found[index]) for index in range(len(self._compiled.outputs))]
        self._free.put(request)
        return results


def _converted(graph: NumericGraph) -> Any:
    """An ``openvino.Model``, whose inputs and outputs have the names of the graph's.

    Not by ``openvino.convert_model``, which needs the parts of it that report to its makers.
    """
    openvino = import_openvino()
    with tempfile.TemporaryDirectory(prefix="hub_keras_bridge_") as folder:
        path = os.path.join(folder, "graph.pb")
        with open(path, "wb") as file:
            file.write(in_common_ops(graph.graph_def).SerializeToString())
        try:
            model = openvino.Core().read_model(path)
            inputs = [model.input(tensor).get_node() for tensor in graph.inputs.values()]
        except Exception as error:  # Its classes are not public.
            if unknown := _UNKNOWN.search(str(error)):
                raise lacks("OpenVINO", unknown[1].split(", ")) from error
            raise fails("OpenVINO", error) from error
    model = openvino.Model(_results(model, graph), inputs)
    _name(model, graph)
    return model


def _results(model: Any, graph: NumericGraph) -> list[Any]:
    """The results in the order of the graph's."""
    by_name = {node.get_friendly_name(): node for node in model.get_results()}
    if len(by_name) < len(graph.outputs):
        # OpenVINO drops such outputs.
        raise EngineError(
            "OpenVINO cannot run a graph.",
            expected="outputs that depend on inputs",
            found="constants among " + choices(graph.outputs),
            advice="choose others with output_key=...",
        )
    return [by_name[tensor] for tensor in graph.outputs.values()]


def _name(model: Any, graph: NumericGraph) -> None:
    """Names inputs and outputs; those that are one tensor have each other's names, too."""
    pairs = [
        *((port, port, name) for port, name in zip(model.inputs, graph.inputs, strict=True)),
        *(
            (port, port.get_node().input_value(0), name)
            for port, name in zip(model.outputs, graph.outputs, strict=True)
        ),
    ]
    names = defaultdict[tuple[str, int], set[str]](set)
    for _, source, name in pairs:
        names[_key(source)].add(name)
    # What OpenVINO simplifies hands the names of inner tensors on.
    for node in model.get_ordered_ops():
        for port in node.outputs():
            port.get_tensor().set_names(set())
    for port, source, _ in pairs:
        for each in (port, source):
            each.get_tensor().set_names(names[_key(source)])


def _key(port: Any) -> tuple[str, int]:
    return port.get_node().get_friendly_name(), port.get_index()


def _weights(path: str) -> str:
    return os.path.splitext(path)[0] + ".bin"
