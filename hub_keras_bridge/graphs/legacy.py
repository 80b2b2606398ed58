"""Rewrites ops of early TensorFlow 1 that TensorFlow 2 cannot run in a function.

Reference variables (``VariableV2``) hand out a mutable reference that each
consumer reads when it runs; here each such reading becomes a
``ReadVariableOp`` with the consumer's own control inputs, and each op that
assigns through a reference becomes its resource counterpart. Lookup tables of
the first generation differ from the second in name alone.

The pairs of ops are those of tensorflow/core/ops/state_ops.cc,
resource_variable_ops.cc and lookup_ops.cc.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tensorflow.core.framework import node_def_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from hub_keras_bridge.errors import damaged
from hub_keras_bridge.graphs import graph
from hub_keras_bridge.graphs.contexts import add_to_contexts

_VARIABLES = frozenset({"Variable", "VariableV2"})

# Op on a reference -> (op on a handle, {its dtype attributes: the old op's}).
_ASSIGNMENTS = {
    "Assign": ("AssignVariableOp", {"dtype": "T"}),
    "AssignAdd": ("AssignAddVariableOp", {"dtype": "T"}),
    "AssignSub": ("AssignSubVariableOp", {"dtype": "T"}),
    "ScatterNdUpdate": ("ResourceScatterNdUpdate", {"T": "T", "Tindices": "Tindices"}),
    "ScatterNdAdd": ("ResourceScatterNdAdd", {"T": "T", "Tindices": "Tindices"}),
    "ScatterNdSub": ("ResourceScatterNdSub", {"T": "T", "Tindices": "Tindices"}),
    **{
        f"Scatter{kind}": (f"ResourceScatter{kind}", {"dtype": "T", "Tindices": "Tindices"})
        for kind in ("Update", "Add", "Sub", "Mul", "Div", "Min", "Max")
    },
}

# Control flow that passes a reference on: here it passes the handle on.
_PASS_ON = {
    "RefIdentity": "Identity",
    "RefSwitch": "Switch",
    "RefEnter": "Enter",
    "RefExit": "Exit",
    "RefNextIteration": "NextIteration",
    "RefMerge": "Merge",
}

_TABLE_OPS = {
    "HashTable": "HashTableV2",
    "MutableHashTable": "MutableHashTableV2",
    "MutableHashTableOfTensors": "MutableHashTableOfTensorsV2",
    "MutableDenseHashTable": "MutableDenseHashTableV2",
    "InitializeTable": "InitializeTableV2",
    "InitializeTableFromTextFile": "InitializeTableFromTextFileV2",
    "LookupTableFind": "LookupTableFindV2",
    "LookupTableInsert": "LookupTableInsertV2",
    "LookupTableSize": "LookupTableSizeV2",
    "LookupTableExport": "LookupTableExportV2",
    "LookupTableImport": "LookupTableImportV2",
}


@dataclass(frozen=True)
class _Reference:
    """A tensor that refers to a variable: through which handle, after what."""

    handle: str
    dtype: int
    after: tuple[str, ...] = ()


def modernize(meta_graph: meta_graph_pb2.MetaGraphDef) -> meta_graph_pb2.MetaGraphDef:
    """The same computation without reference variables and old tables.

    Returns the argument itself where there is nothing to do.
    """
    ops = {node.op for node in meta_graph.graph_def.node}
    if not ops & (_VARIABLES | set(_TABLE_OPS)):
        return meta_graph
    result = meta_graph_pb2.MetaGraphDef()
    result.CopyFrom(meta_graph)
    for node in result.graph_def.node:
        node.op = _TABLE_OPS.get(node.op, node.op)
    if ops & _VARIABLES:
        _replace_references(result)
    return result


def is_variable(node: node_def_pb2.NodeDef) -> bool:
    """Whether a node of a published graph is a reference variable."""
    return node.op in _VARIABLES


def value_of(reference: str) -> str:
    """The tensor that has the value of a reference variable's tensor, once it is rewritten."""
    return f"{graph.node_name(reference)}/published_value:0"


def _replace_references(meta_graph: meta_graph_pb2.MetaGraphDef) -> None:
    nodes = graph.nodes_by_name(meta_graph.graph_def)
    references = _references(nodes)
    inputs = {
        name: [references.get(graph.tensor_name(i)) for i in node.input]
        for name, node in nodes.items()
    }
    outputs = _published_tensors(meta_graph)
    # Any variable may be asked for, by a name that is in no signature.
    variables = [f"{name}:0" for name, node in nodes.items() if is_variable(node)]
    given_out = {graph.tensor_name(output.name) for output in outputs} & references.keys()
    reads = {
        read.name: read
        for tensor in (*variables, *sorted(given_out))
        if (read := _read_node(graph.node_name(value_of(tensor)), references[tensor]))
    }
    for output in outputs:
        if graph.tensor_name(output.name) in given_out:
            output.name = value_of(output.name)
    added = [read for read in reads.values() if read.name not in nodes]
    beside: dict[str, list[str]] = {}
    for name, node in nodes.items():
        new = _rewrite_node(node, inputs[name])
        beside[name] = [each.name for each in new]
        added.extend(new)
    meta_graph.graph_def.node.extend(added)
    add_to_contexts(meta_graph, beside)


def _published_tensors(
    meta_graph: meta_graph_pb2.MetaGraphDef,
) -> list[meta_graph_pb2.TensorInfo]:
    return [
        info
        for signature in meta_graph.signature_def.values()
        for info in signature.outputs.values()
        if info.WhichOneof("encoding") == "name"
    ]


def _references(nodes: Mapping[str, node_def_pb2.NodeDef]) -> dict[str, _Reference]:
    """Each tensor of the old graph that refers to a variable, by its full name."""
    consumers: dict[str, list[node_def_pb2.NodeDef]] = {}
    for node in nodes.values():
        for source in _referred(node):
            consumers.setdefault(source, []).append(node)
    found: dict[str, _Reference] = {}
    waiting = []

    def add(tensor: str, reference: _Reference) -> None:
        # What goes round a loop comes back to where it was found before.
        if tensor not in found:
            found[tensor] = reference
            waiting.append(tensor)

    for node in nodes.values():
        if node.op in _VARIABLES:
            add(f"{node.name}:0", _Reference(f"{node.name}:0", node.attr["dtype"].type))
    while waiting:
        source = waiting.pop()
        handle, dtype = found[source].handle, found[source].dtype
        for node in consumers.get(source, ()):
            if node.op in _ASSIGNMENTS:
                add(f"{node.name}:0", _Reference(handle, dtype, (f"^{node.name}",)))
            else:
                for index in range(2 if node.op == "RefSwitch" else 1):
                    tensor = f"{node.name}:{index}"
                    add(tensor, _Reference(tensor, dtype))
    return found


def _referred(node: node_def_pb2.NodeDef) -> list[str]:
    """The inputs of a node that it hands on if they are references."""
    if node.op == "RefMerge":
        return [graph.tensor_name(r) for r in node.input if not graph.is_control(r)]
    if node.op in _ASSIGNMENTS or node.op in _PASS_ON:
        return [graph.tensor_name(reference) for reference in node.input[:1]]
    return []


def _rewrite_node(
    node: node_def_pb2.NodeDef, references: list[_Reference | None]
) -> list[node_def_pb2.NodeDef]:
    """Rewrites one node in place; returns the reads that it now needs."""
    if node.op in _VARIABLES:
        _become_handle(node)
        return []
    if not any(references):
        return []
    reference = references[0]
    if node.op == "Identity" and reference is not None:
        after = [i for i in node.input if graph.is_control(i)]
        node.CopyFrom(_read_node(node.name, reference, after))
        return []
    if node.op in _PASS_ON:
        return _pass_on(node, references)
    if not _takes_reference(node):
        return _read_inputs(node, references, start=0)
    reads = _read_inputs(node, references[1:], start=1)
    if node.op in _ASSIGNMENTS:
        new_op, attributes = _ASSIGNMENTS[node.op]
        dtypes = {new: node.attr[old].type for new, old in attributes.items()}
        node.op = new_op
        node.attr.clear()
        for name, dtype in dtypes.items():
            node.attr[name].type = dtype
    else:
        node.op = "VarIsInitializedOp"
        node.attr.clear()
    variable = references[0]
    if variable is None:
        raise damaged(
            "Cannot read the graph of a TF1 Hub module.",
            expected=f"a variable as the first input of {node.name!r}, which is one for variables",
            found=node.input[0],
        )
    node.input[0] = variable.handle
    node.input.extend(variable.after)
    return reads


def _pass_on(
    node: node_def_pb2.NodeDef, references: list[_Reference | None]
) -> list[node_def_pb2.NodeDef]:
    """Makes control flow on a reference one on a handle."""
    node.op = _PASS_ON[node.op]
    node.attr["T"].type = types_pb2.DT_RESOURCE
    node.attr.pop("_output_shapes", None)
    added = []
    for position, reference in enumerate(references):
        if reference is None:
            continue
        handle = reference.handle
        if reference.after:
            # To wait is a matter of the branch that the reference comes from.
            waiting = node_def_pb2.NodeDef(
                name=f"{node.name}/after_{position}",
                op="Identity",
                input=[handle, *reference.after],
            )
            waiting.attr["T"].type = types_pb2.DT_RESOURCE
            added.append(waiting)
            handle = waiting.name
        node.input[position] = handle
    return added


def _takes_reference(node: node_def_pb2.NodeDef) -> bool:
    return node.op in _ASSIGNMENTS or node.op == "IsVariableInitialized"


def _become_handle(node: node_def_pb2.NodeDef) -> None:
    old = node_def_pb2.NodeDef()
    old.CopyFrom(node)
    node.op = "VarHandleOp"
    node.attr.clear()
    for attribute in ("dtype", "shape", "container"):
        if attribute in old.attr:
            node.attr[attribute].CopyFrom(old.attr[attribute])
    node.attr["shared_name"].s = old.attr["shared_name"].s or old.name.encode()


def _read_inputs(
    node: node_def_pb2.NodeDef, references: list[_Reference | None], start: int
) -> list[node_def_pb2.NodeDef]:
    """Puts a read before each input that was a reference."""
    after = [i for i in node.input if graph.is_control(i)]
    reads = []
    for position, reference in enumerate(references, start):
        if reference:
            read = _read_node(f"{node.name}/value_of_input_{position}", reference, after)
            reads.append(read)
            node.input[position] = f"{read.name}:0"
    return reads


def _read_node(name: str, reference: _Reference, after: Sequence[str] = ()) -> node_def_pb2.NodeDef:
    read = node_def_pb2.NodeDef(
        name=name,
        op="ReadVariableOp",
        input=[reference.handle, *dict.fromkeys([*after, *reference.after])],
    )
    read.attr["dtype"].type = reference.dtype
    return read
