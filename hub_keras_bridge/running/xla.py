"""Whether XLA can compile what a layer runs: ``jit_compile=True``.

XLA has a kernel of its own for each op that it compiles, for certain dtypes;
strings and lookup tables have none. TensorFlow says so when a compilation
fails; here it is read off the graph before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import tensorflow as tf
from tensorflow.core.framework import graph_pb2, kernel_def_pb2, node_def_pb2, types_pb2

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.errors import Subject, XlaError
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.graphs.ops import definitions as op_facts
from hub_keras_bridge.plans.endpoint import Endpoint
from hub_keras_bridge.plans.plan import Plan


def accelerator_is_hidden() -> bool:
    """Whether there is an accelerator that TensorFlow was told not to use.

    Keras then takes XLA for an advantage, though all runs on the CPU, where XLA
    makes the graphs of modules slower.
    """
    visible = tf.config.get_visible_devices()
    some_are_hidden = len(visible) < len(tf.config.list_physical_devices())
    return some_are_hidden and all(device.device_type == "CPU" for device in visible)


def missing_ops(endpoint: Endpoint, *, training: bool) -> dict[str, str]:
    """What calls of an endpoint run and XLA cannot compile.

    Args:
        endpoint: the call.
        training: whether update ops and regularization losses run too.

    Returns:
        As :func:`lacking`.
    """
    nodes = [node for chosen in _plans(endpoint, training) for node in ops_of(chosen.graph_def)]
    return lacking([*nodes, *_interface(endpoint)])


def lacking(nodes: Iterable[node_def_pb2.NodeDef]) -> dict[str, str]:
    """The ops among some nodes that XLA cannot compile for the devices in use.

    Returns:
        Name of the op -> name of one of its nodes.
    """
    device = "XLA_GPU_JIT" if tf.config.get_visible_devices("GPU") else "XLA_CPU_JIT"
    return {
        node.op: node.name
        for node in nodes
        if not any(_fits(kernel, node) for kernel in private_tf.xla_kernels(node.op, device))
    }


def need_ops(missing: Callable[[], Mapping[str, str]], problem: str, subject: Subject) -> None:
    """Checks that XLA can compile a call, where it is about to.

    Args:
        missing: finds out what it lacks, as :func:`lacking` tells it.
        problem: what could not be done, for the message.
        subject: the call.

    Raises:
        XlaError: it lacks ops.
    """
    if tf.executing_eagerly() or not private_tf.inside_xla():
        return
    if ops := missing():
        raise XlaError(
            problem,
            subject,
            expected="ops and dtypes that XLA has kernels for",
            found=show(ops),
            advice="leave out jit_compile=True, or call the layer outside of the compiled "
            "function, for example in tf.data.Dataset.map",
        )


def show(missing: Mapping[str, str]) -> str:
    """Lists ops, each with one of its nodes.

    >>> show({"StringSplit": "words/split"})
    "'StringSplit (words/split)'"
    """
    return choices(f"{op} ({node})" for op, node in missing.items())


def _plans(endpoint: Endpoint, training: bool) -> Iterator[Plan]:
    yield endpoint.call(training=training)
    losses = [endpoint.program.standing_losses, endpoint.fed_losses] if training else []
    yield from filter(None, losses)


def ops_of(graph_def: graph_pb2.GraphDef) -> Iterator[node_def_pb2.NodeDef]:
    """The ops of a graph and of its functions, without calls of functions and without inputs."""
    library = graph_def.library.function
    functions = {function.signature.name for function in library}
    for nodes in (graph_def.node, *(function.node_def for function in library)):
        yield from (n for n in nodes if n.op != "Placeholder" and n.op not in functions)


def _interface(endpoint: Endpoint) -> Iterator[node_def_pb2.NodeDef]:
    wanted = {key: endpoint.facts.outputs[key] for key in endpoint.outputs}
    for op, infos in ("_Arg", endpoint.facts.inputs), ("_Retval", wanted):
        for name, info in infos.items():
            for spec in info.component_specs:
                yield boundary(op, name, spec.dtype.as_datatype_enum)


def boundary(op: str, name: str, dtype: int) -> node_def_pb2.NodeDef:
    """What a compiled function has for an input (``_Arg``) or output (``_Retval``)."""
    node = node_def_pb2.NodeDef(op=op, name=name)
    node.attr["T"].type = dtype
    return node


def _fits(kernel: kernel_def_pb2.KernelDef, node: node_def_pb2.NodeDef) -> bool:
    op = op_facts.definition(node, {})
    for constraint in kernel.constraint:
        value = op_facts.attribute(node, op, constraint.name)
        # A function's node may leave its dtype to the caller.
        dtypes = {value.type, *value.list.type} - {types_pb2.DT_INVALID}
        if not dtypes <= set(constraint.allowed_values.list.type):
            return False
    return True
