"""Modules of a given size, made to be slow to look through: protos alone, no graph is built."""

from tensorflow.core.framework import (
    attr_value_pb2,
    node_def_pb2,
    types_pb2,
    variable_pb2,
)
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from hub_keras_bridge.format import (
    ASSETS_COLLECTION,
    ATTACHMENTS_COLLECTION,
    ModuleAttachment,
    ModuleFiles,
)
from hub_keras_bridge.spec import ModuleSpec

FLOAT, STRING, RESOURCE = types_pb2.DT_FLOAT, types_pb2.DT_STRING, types_pb2.DT_RESOURCE
INT32, BOOL = types_pb2.DT_INT32, types_pb2.DT_BOOL


class Builder:
    """One MetaGraphDef that grows."""

    def __init__(self, tags=()):
        self.meta_graph = meta_graph_pb2.MetaGraphDef()
        self.meta_graph.meta_info_def.tags.extend(tags)
        self.graph_def = self.meta_graph.graph_def
        self.graph_def.versions.producer = 1087

    def node(self, name, op, inputs=(), nodes=None, **attributes):
        """Adds a node to the graph, or to a function's nodes; returns its name."""
        added = (self.graph_def.node if nodes is None else nodes).add(
            name=name, op=op, input=inputs
        )
        for key, value in attributes.items():
            _set(added.attr[key], value)
        return name

    def placeholder(self, name, dtype=FLOAT, size=None):
        self.node(name, "Placeholder", dtype=dtype, shape=() if size is None else (size,))
        return name

    def const(self, name, dtype=STRING, value=b"", inputs=()):
        self.node(name, "Const", inputs, dtype=dtype)
        tensor = self.graph_def.node[-1].attr["value"].tensor
        tensor.dtype = dtype
        tensor.tensor_shape.SetInParent()
        if dtype == STRING:
            tensor.string_val.append(value)
        elif dtype == INT32:
            tensor.int_val.append(value or 0)
        return name

    def variable(self, name, shape=(1,), op="VarHandleOp", part=None, **more):
        """A variable, with the op that assigns it; ``part``: (full name, shape, offset)."""
        self.node(name, op, dtype=FLOAT, shape=shape, shared_name=name.encode(), **more)
        zero = f"{name}/zero"
        self.node(zero, "Const", dtype=FLOAT)
        self.node(f"{name}/Assign", "AssignVariableOp", [name, zero], dtype=FLOAT)
        definition = variable_pb2.VariableDef(
            variable_name=f"{name}:0",
            initial_value_name=f"{zero}:0",
            initializer_name=f"{name}/Assign",
            snapshot_name=f"{name}/Read/ReadVariableOp:0",
            is_resource=True,
            trainable=True,
        )
        if part:
            info = definition.save_slice_info_def
            info.full_name, (info.full_shape[:], info.var_offset[:]) = part[0], part[1:]
            info.var_shape[:] = shape
        for key in ("variables", "trainable_variables"):
            self.meta_graph.collection_def[key].bytes_list.value.append(
                definition.SerializeToString()
            )
        return name

    def asset(self, tensor, file="vocab.txt"):
        entry = meta_graph_pb2.AssetFileDef(filename=file)
        entry.tensor_info.name = f"{tensor}:0"
        self.meta_graph.collection_def[ASSETS_COLLECTION].any_list.value.add().Pack(entry)

    def attachment(self, key, value=b"1"):
        message = ModuleAttachment(key=key, value=value).SerializeToString()
        self.meta_graph.collection_def[ATTACHMENTS_COLLECTION].bytes_list.value.append(message)

    def listed(self, collection, names):
        self.meta_graph.collection_def[collection].node_list.value.extend(names)

    def function(self, name, inputs=(), outputs=(), ret=None):
        """Adds a function of floats; returns the list of its nodes."""
        added = self.graph_def.library.function.add()
        added.signature.name = name
        for each in inputs:
            added.signature.input_arg.add(name=each, type=FLOAT)
        for each in outputs:
            added.signature.output_arg.add(name=each, type=FLOAT)
        for key, value in (ret or {}).items():
            added.ret[key] = value
        return added.node_def

    def signature(self, inputs, outputs, name="default", dtype=FLOAT):
        """Inputs and outputs: name -> tensor."""
        definition = self.meta_graph.signature_def[name]
        for infos, named in (definition.inputs, inputs), (definition.outputs, outputs):
            for key, tensor in named.items():
                info = infos[key]
                info.name, info.dtype = f"{tensor}:0" if ":" not in tensor else tensor, dtype
                info.tensor_shape.unknown_rank = True
        return self

    def spec(self, **files):
        return spec_of(self, **files)


def spec_of(*builders, **files):
    saved_model = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    saved_model.meta_graphs.extend(builder.meta_graph for builder in builders)
    return ModuleSpec(ModuleFiles("large", saved_model, **files))


def _set(attribute, value):
    if isinstance(value, attr_value_pb2.AttrValue):
        attribute.CopyFrom(value)
    elif isinstance(value, bool):
        attribute.b = value
    elif isinstance(value, int):
        attribute.type = value
    elif isinstance(value, bytes):
        attribute.s = value
    elif isinstance(value, tuple):
        attribute.shape.SetInParent()
        for size in value:
            attribute.shape.dim.add(size=size)
    elif isinstance(value, list):
        attribute.list.type.extend(value)
    else:
        attribute.func.name = value


def number(value):
    return attr_value_pb2.AttrValue(i=value)


def chain(n, op="Identity", first="x"):
    """A placeholder, then ops one after the other."""
    b = Builder()
    last = b.placeholder(first)
    for i in range(n):
        last = b.node(f"n{i}", op, [last], T=FLOAT)
    return b, last


NodeDef = node_def_pb2.NodeDef
