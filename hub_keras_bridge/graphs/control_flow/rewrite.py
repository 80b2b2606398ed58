"""The steps from TensorFlow 1's control flow to functions, in order."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from tensorflow.core.framework import graph_pb2, node_def_pb2

from hub_keras_bridge.graphs.control_flow.conds import functionalize_conds
from hub_keras_bridge.graphs.control_flow.hoist import hoist_reads
from hub_keras_bridge.graphs.control_flow.loops import functionalize_loops
from hub_keras_bridge.graphs.control_flow.subgraph import Irregular, Library
from hub_keras_bridge.graphs.control_flow.tensor_arrays import use_tensor_lists
from hub_keras_bridge.graphs.graph import node_name, nodes_by_name, upstream

_OPS = frozenset({"Enter", "Switch", "Merge"})
_STACK_OPS = frozenset({"Stack", "StackV2"})
_MOST_OUTPUTS = 1000  # Of a function: whoever reads one of them has it counted out.


def has_control_flow(graph_def: graph_pb2.GraphDef) -> bool:
    """Whether a graph has v1 loops or conditionals outside its functions."""
    return any(node.op in _OPS for node in graph_def.node)


def functionalize(
    graph_def: graph_pb2.GraphDef,
    targets: Sequence[str],
    handles: Collection[str],
    undifferentiated: Collection[str] = (),
) -> tuple[graph_pb2.GraphDef, dict[str, str]]:
    """The same computation with While and If ops.

    Args:
        graph_def: with v1 control flow.
        targets: tensors and nodes that are wanted; tensors keep their names.
        handles: tensors that are variables' handles.
        undifferentiated: frames of loops that no gradient leaves.

    Returns:
        The new graph, and for each wanted node that now runs inside a function
        the node to run instead.

    Raises:
        Irregular: the control flow was not made by ``tf.while_loop`` and
            ``tf.cond``, or the result's gradient would be wrong.
    """
    result = graph_pb2.GraphDef()
    result.CopyFrom(graph_def)
    nodes = nodes_by_name(result)
    library = Library(result.library.function)
    _refuse_many_outputs(library)
    _refuse_gradients_of_loops(nodes)
    use_tensor_lists(nodes)
    hoist_reads(nodes, handles)
    # Without what carried the handles in: a loop's gradient takes no resource.
    nodes = {name: nodes[name] for name in upstream(nodes, targets)}
    functionalize_loops(nodes, library, targets, undifferentiated)
    nodes = {name: nodes[name] for name in upstream(nodes, targets)}
    moved = functionalize_conds(nodes, library, targets)
    kept = upstream(nodes, [moved.get(node_name(t), t) for t in targets])

    new = graph_pb2.GraphDef(versions=graph_def.versions)
    new.node.extend(nodes[name] for name in sorted(kept))
    new.library.function.extend(library.functions)
    new.library.gradient.extend(graph_def.library.gradient)
    return new, moved


def _refuse_many_outputs(library: Library) -> None:
    for name, signature in library.signatures.items():
        if len(signature.output_arg) > _MOST_OUTPUTS:
            raise Irregular(f"function {name!r} has {len(signature.output_arg)} outputs")


def _refuse_gradients_of_loops(nodes: Mapping[str, node_def_pb2.NodeDef]) -> None:
    # The loop that computes a gradient takes the other loop's values from a
    # stack, which TensorFlow differentiates as if they were constants.
    stacks = sorted(name for name, node in nodes.items() if node.op in _STACK_OPS)
    if stacks:
        raise Irregular(f"a loop's gradient, with a stack {stacks[0]!r}, is part of the graph")
