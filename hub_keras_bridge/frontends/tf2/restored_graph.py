"""What may run once TensorFlow 2 has loaded a SavedModel, for the audit and for XLA."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tensorflow.core.framework import function_pb2, graph_pb2, node_def_pb2, op_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_object_graph_pb2

from hub_keras_bridge.errors import Subject
from hub_keras_bridge.graphs import graph, library
from hub_keras_bridge.graphs.ops.reach import Reach, reach_of
from hub_keras_bridge.plans.plan import Plan
from hub_keras_bridge.running.xla import boundary

_ASSET = "asset:0"
_OTHER = "other:0"


def what_may_run(meta_graph: meta_graph_pb2.MetaGraphDef) -> meta_graph_pb2.MetaGraphDef:
    """A TF2 SavedModel's graph without the functions that nothing may come to run.

    Such as those that write and read its checkpoint, which are for TensorFlow 1.
    What is not here TensorFlow does not load, not even to find out shapes.
    """
    library_of_all = meta_graph.graph_def.library
    functions = {function.signature.name for function in library_of_all.function}
    objects = meta_graph.object_graph_def
    names = {*objects.concrete_functions, *_named_by_objects(objects)}
    called = [node_def_pb2.NodeDef(op=name) for name in sorted(names) if name in functions]
    loaded = graph_pb2.GraphDef()
    loaded.library.CopyFrom(library.reachable(library_of_all, called))
    own = {gradient.registered_op_type for gradient in loaded.library.registered_gradients}
    result = meta_graph_pb2.MetaGraphDef()
    result.CopyFrom(meta_graph)
    result.graph_def.library.CopyFrom(library.with_own_gradients(loaded, own).library)
    return result


def plan_of_calls(meta_graph: meta_graph_pb2.MetaGraphDef, subject: Subject) -> Plan:
    """All functions of a TF2 SavedModel that Python may call, as if to call each once.

    Loading makes functions and runs some, those that make and fill tables; the
    graph beside them is for TensorFlow 1. Each is passed what loading binds to
    it: an asset's path, or something else.

    Args:
        meta_graph: what :func:`what_may_run` left, all of which is loaded.
        subject: for messages.
    """
    objects = meta_graph.object_graph_def
    calls = graph_pb2.GraphDef()
    calls.library.CopyFrom(meta_graph.graph_def.library)
    functions = {f.signature.name: f for f in calls.library.function}
    for name, called in objects.concrete_functions.items():
        bound = [
            _ASSET if objects.nodes[node].WhichOneof("kind") == "asset" else _OTHER
            for node in called.bound_inputs
        ]
        arguments = functions[name].signature.input_arg if name in functions else ()
        given = len(arguments) - len(bound)
        calls.node.add(name=name, op=name, input=[*[_OTHER] * given, *bound])
    for name in sorted(_named_by_objects(objects) - objects.concrete_functions.keys()):
        calls.node.add(name=name, op=name)
    for name in _makers(meta_graph):
        # A table of the model's own, found by the name that it is made under.
        kept = [node for node in functions[name].node_def if reach_of(node) is not Reach.NAMED]
        del functions[name].node_def[:]
        functions[name].node_def.extend(kept)
    return Plan(
        graph_def=calls,
        producer_ops=op_def_pb2.OpList(),
        inputs={},
        variables={},
        resources={},
        assets={_ASSET: [_ASSET]},
        fetches=(),
        shapes=(),
        updates=(),
        differentiable=True,
        subject=subject,
    )


def compiled_nodes(function: Any) -> Iterator[node_def_pb2.NodeDef]:
    """The nodes that XLA has to compile for a ``ConcreteFunction``, called functions included.

    Its inputs and outputs are among them; calls are not, and neither is what no
    result and no effect depends on.
    """
    known = {f.signature.name: f for f in function.graph.as_graph_def().library.function}
    signature = function.function_def.signature
    for op, arguments in ("_Arg", signature.input_arg), ("_Retval", signature.output_arg):
        for argument in arguments:
            yield boundary(op, argument.name, argument.type)
    reached: set[str] = set()
    waiting = [function.function_def]
    while waiting:
        nodes = _needed(waiting.pop())
        called = set(library.calls(nodes, known)) - reached
        reached |= called
        waiting += [known[name] for name in called]
        yield from (node for node in nodes if node.op not in known)


def _needed(function: function_pb2.FunctionDef) -> list[node_def_pb2.NodeDef]:
    """The nodes that a function's results and effects depend on."""
    nodes = {node.name: node for node in function.node_def}
    targets = [*function.ret.values(), *function.control_ret.values()]
    given = [graph.tensor_name(argument.name) for argument in function.signature.input_arg]
    return [nodes[name] for name in sorted(graph.upstream(nodes, targets, given))]


def _named_by_objects(objects: saved_object_graph_pb2.SavedObjectGraph) -> set[str]:
    """The functions that objects have, listed among those that are called or not."""
    found = {node.bare_concrete_function.concrete_function_name for node in objects.nodes}
    found.update(name for node in objects.nodes for name in node.function.concrete_functions)
    return found - {""}  # what is no such object has this one


def _makers(meta_graph: meta_graph_pb2.MetaGraphDef) -> set[str]:
    """The functions that make the model's resources, and those that they call."""
    nodes = meta_graph.object_graph_def.nodes
    makers = {
        name
        for node in nodes
        if node.WhichOneof("kind") == "resource"
        for child in node.children
        if child.local_name == "_create_resource"
        for name in nodes[child.node_id].function.concrete_functions
    }
    calls = [node_def_pb2.NodeDef(op=name) for name in sorted(makers)]
    called = library.reachable(meta_graph.graph_def.library, calls).function
    return {function.signature.name for function in called}
