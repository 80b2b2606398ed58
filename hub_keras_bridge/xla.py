"""Whether XLA can compile what a layer runs: ``jit_compile=True``.

XLA has a kernel of its own for each op that it compiles, for certain dtypes;
strings and lookup tables have none. TensorFlow says so when a compilation
fails; here it is read off the graph before.
"""

from __future__ import annotations

from collections.abc import Iterator

import tensorflow as tf
from tensorflow.core.framework import kernel_def_pb2, node_def_pb2, types_pb2

from hub_keras_bridge import compat
from hub_keras_bridge.endpoint import Endpoint
from hub_keras_bridge.errors import XlaError, choices
from hub_keras_bridge.ops import facts as op_facts
from hub_keras_bridge.plan import Plan, losses_fed_by, plan, plan_call, standing_losses


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
        Name of the op -> name of one of its nodes.
    """
    device = "XLA_GPU_JIT" if tf.config.get_visible_devices("GPU") else "XLA_CPU_JIT"
    nodes = [node for chosen in _plans(endpoint, training) for node in _nodes(chosen)]
    return {
        node.op: node.name
        for node in [*nodes, *_interface(endpoint)]
        if not any(_fits(kernel, node) for kernel in compat.xla_kernels(node.op, device))
    }


def need_ops(endpoint: Endpoint, *, training: bool) -> None:
    """Checks that XLA can compile a call, where it is about to.

    Raises:
        XlaError: it lacks ops.
    """
    if tf.executing_eagerly() or not compat.inside_xla():
        return
    if missing := missing_ops(endpoint, training=training):
        raise XlaError(
            "Cannot compile a TF1 Hub module with XLA: it lacks some of the module's ops.",
            endpoint.subject,
            expected="ops and dtypes that XLA has kernels for",
            found=show(missing),
            advice="leave out jit_compile=True, or call the layer outside of the compiled "
            "function, for example in tf.data.Dataset.map",
        )


def show(missing: dict[str, str]) -> str:
    """Lists ops, each with one of its nodes.

    >>> show({"StringSplit": "words/split"})
    "'StringSplit (words/split)'"
    """
    return choices(f"{op} ({node})" for op, node in missing.items())


def _plans(endpoint: Endpoint, training: bool) -> Iterator[Plan]:
    variant = endpoint.variant
    yield plan_call(variant, endpoint.signature, endpoint.outputs, training=training)
    losses = [*standing_losses(variant), *losses_fed_by(variant, endpoint.facts)]
    if training and losses:
        yield plan(variant, losses, inputs=endpoint.facts.input_tensors)


def _nodes(chosen: Plan) -> Iterator[node_def_pb2.NodeDef]:
    """The ops of a graph and of its functions, without calls of functions."""
    library = chosen.graph_def.library.function
    functions = {function.signature.name for function in library}
    for nodes in (chosen.graph_def.node, *(function.node_def for function in library)):
        # A plan's placeholders are its inputs.
        yield from (n for n in nodes if n.op != "Placeholder" and n.op not in functions)


def _interface(endpoint: Endpoint) -> Iterator[node_def_pb2.NodeDef]:
    """What a compiled function has for its own inputs and outputs."""
    wanted = {key: endpoint.facts.outputs[key] for key in endpoint.outputs}
    for op, infos in ("_Arg", endpoint.facts.inputs), ("_Retval", wanted):
        for name, info in infos.items():
            for spec in info.component_specs:
                node = node_def_pb2.NodeDef(op=op, name=name)
                node.attr["T"].type = spec.dtype.as_datatype_enum
                yield node


def _fits(kernel: kernel_def_pb2.KernelDef, node: node_def_pb2.NodeDef) -> bool:
    op = op_facts.definition(node, {})
    for constraint in kernel.constraint:
        value = op_facts.attribute(node, op, constraint.name)
        # A function's node may leave its dtype to the caller.
        dtypes = {value.type, *value.list.type} - {types_pb2.DT_INVALID}
        if not dtypes <= set(constraint.allowed_values.list.type):
            return False
    return True
