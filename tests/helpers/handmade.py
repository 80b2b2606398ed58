"""Modules made by hand, proto by proto, that come to a node by one way or another.

No TensorFlow graph is built: what TensorFlow would refuse to build can be had, too.
"""

from collections.abc import Callable

import tensorflow as tf
from tensorflow.core.framework import (
    attr_value_pb2,
    function_pb2,
    graph_pb2,
    node_def_pb2,
    op_def_pb2,
    tensor_pb2,
    types_pb2,
    variable_pb2,
)
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

import hub_keras_bridge as hub
from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.files.module_folder import ModuleFiles
from hub_keras_bridge.graphs.ops import definitions

KEYS = tf.compat.v1.GraphKeys
FLOAT, STRING, BOOL, INT32, INT64 = tf.float32, tf.string, tf.bool, tf.int32, tf.int64

HARMLESS = "harmless"


class Func(str):
    """The name of a function, as an attribute."""


class Given(str):
    """An attribute that whoever calls the function around it says."""


def attribute(value):
    """A Python value as an attribute."""
    if isinstance(value, attr_value_pb2.AttrValue):
        return value
    made = attr_value_pb2.AttrValue()
    if isinstance(value, Func):
        made.func.name = value
    elif isinstance(value, Given):
        made.placeholder = value
    elif isinstance(value, bool):
        made.b = value
    elif isinstance(value, int):
        made.i = value
    elif isinstance(value, float):
        made.f = value
    elif isinstance(value, str):
        made.s = value.encode()
    elif isinstance(value, tf.DType):
        made.type = value.as_datatype_enum
    elif isinstance(value, tf.TensorShape):
        made.shape.CopyFrom(value.as_proto())
    elif isinstance(value, tensor_pb2.TensorProto):
        made.tensor.CopyFrom(value)
    else:
        made.list.SetInParent()
        for each in map(attribute, value):
            made.list.MergeFrom(_listed(each))
    return made


def _listed(value):
    kind = value.WhichOneof("value")
    made = attr_value_pb2.AttrValue.ListValue()
    field = getattr(made, kind)
    if kind in ("func", "shape", "tensor"):
        field.add().CopyFrom(getattr(value, kind))
    else:
        field.append(getattr(value, kind))
    return made


def call_attribute(function, **attributes):
    """The name of a function with what its attributes are to be."""
    made = attr_value_pb2.AttrValue()
    made.func.name = function
    for name, value in attributes.items():
        made.func.attr[name].CopyFrom(attribute(value))
    return made


def text(value):
    """A string as a tensor."""
    return tf.make_tensor_proto(value)


class Body:
    """The nodes of a graph, or of a function."""

    def __init__(self, nodes, inside=False):
        self.nodes = nodes
        self.inside = inside
        self.sources = {}

    def add(self, op, name, *inputs, **attributes):
        node = self.nodes.add(name=name, op=op, input=inputs)
        for key, value in attributes.items():
            node.attr[key].CopyFrom(attribute(value))
        return name

    def out(self, name, argument="output"):
        """The first tensor of a node."""
        return f"{name}:{argument}:0" if self.inside else f"{name}:0"

    def const(self, name, value):
        proto = tf.make_tensor_proto(value)
        self.add("Const", name, value=proto, dtype=tf.as_dtype(proto.dtype))
        return self.out(name)

    def source(self, dtype):
        """Some tensor of a dtype, of no known shape, that nobody has to feed."""
        if dtype not in self.sources:
            name = f"some_{tf.as_dtype(dtype).name}"
            self.sources[dtype] = self._source(name, dtype)
        return self.sources[dtype]

    def _source(self, name, dtype):
        if dtype == types_pb2.DT_RESOURCE:
            self.add("AnonymousHashTable", name, key_dtype=STRING, value_dtype=INT64)
            return self.out(name, "table_handle")
        if dtype == types_pb2.DT_VARIANT:
            shape, size = self.const(f"{name}/shape", -1), self.const(f"{name}/size", 0)
            self.add("EmptyTensorList", name, shape, size, element_dtype=FLOAT, shape_type=INT32)
            return self.out(name, "handle")
        value = tensor_pb2.TensorProto(dtype=dtype)
        value.tensor_shape.dim.add(size=0)
        self.add("Const", f"{name}/empty", value=value, dtype=tf.as_dtype(dtype))
        self.add(
            "PlaceholderWithDefault",
            name,
            self.out(f"{name}/empty"),
            dtype=tf.as_dtype(dtype),
            shape=tf.TensorShape(None),
        )
        return self.out(name)

    def node_of(self, op, name="reach"):
        """A node of an op, with the inputs and attributes that the op must have."""
        definition = private_tf.op_def(op)
        chosen = {a.name: _chosen(a) for a in definition.attr if not a.HasField("default_value")}
        self.add(op, name, **chosen, **_OUTWARDS.get(op, {}))
        node = self.nodes[-1]
        inputs = [
            self.source(d) for a in definition.input_arg for d in _dtypes(node, definition, a)
        ]
        # Sources stand before it now, and a repeated field may have moved it.
        node = next(each for each in self.nodes if each.name == name)
        node.input.extend(inputs)
        return name


def _chosen(declared: op_def_pb2.OpDef.AttrDef):
    kind = declared.type
    allowed = declared.allowed_values.list
    count = max(1, declared.minimum)
    one = {
        "type": tf.as_dtype(allowed.type[0]) if allowed.type else FLOAT,
        "int": count,
        "string": allowed.s[0].decode() if allowed.s else "x",
        "float": 1.0,
        "bool": False,
        "shape": tf.TensorShape([]),
        "func": Func(HARMLESS),
        "tensor": text("x"),
    }
    if kind.startswith("list("):
        return [one[kind[5:-1]]] * count
    return one[kind]


def _dtypes(node, definition, argument):
    if argument.type_list_attr:
        return definitions.attribute(node, definition, argument.type_list_attr).list.type
    named = argument.type_attr
    dtype = definitions.attribute(node, definition, named).type if named else argument.type
    number = argument.number_attr
    return [dtype] * (definitions.attribute(node, definition, number).i if number else 1)


# Ops that stay inside unless an attribute sends them out, and one that does.
_OUTWARDS = {
    "PrintV2": {"output_stream": "file:///nowhere"},
    "DecodeProtoV2": {"descriptor_source": "/nowhere"},
    "EncodeProto": {"descriptor_source": "/nowhere"},
    "FixedUnigramCandidateSampler": {"vocab_file": "/nowhere"},
}

Put = Callable[[Body], str]


class Handmade:
    """A module whose signature ``default`` gives what it is given.

    Attributes:
        meta_graph: its only graph.
        body: the nodes of it.
    """

    def __init__(self, tags=()):
        self.meta_graph = meta_graph_pb2.MetaGraphDef()
        self.meta_graph.meta_info_def.tags.extend(tags)
        self.graph_def = self.meta_graph.graph_def
        self.graph_def.versions.producer = tf.version.GRAPH_DEF_VERSION
        self.body = Body(self.graph_def.node)
        self.library = self.graph_def.library
        self.assets = {}
        self.body.add("Placeholder", "x", dtype=FLOAT, shape=tf.TensorShape([]))
        self.body.add("Identity", "y", "x", T=FLOAT)
        self.signature("default", {"x": ("x:0", FLOAT)}, {"default": ("y:0", FLOAT)})
        self.function(HARMLESS)

    def signature(self, name, inputs, outputs):
        definition = self.meta_graph.signature_def[name]
        for infos, tensors in ((definition.inputs, inputs), (definition.outputs, outputs)):
            for key, (tensor, dtype) in tensors.items():
                infos[key].name = tensor
                infos[key].dtype = dtype.as_datatype_enum
                infos[key].tensor_shape.CopyFrom(tf.TensorShape([]).as_proto())

    def after(self, *names, node="y"):
        """Lets a node, that of the output if no other, wait for some nodes."""
        waiting = next(each for each in self.graph_def.node if each.name == node)
        waiting.input.extend(f"^{name}" for name in names)

    def function(self, name, put: Put | None = None, takes=(FLOAT,), gives=FLOAT):
        """Adds a function of some tensors that gives the first, or True, and runs a node."""
        function = self.library.function.add()
        function.signature.name = name
        for number, dtype in enumerate(takes):
            function.signature.input_arg.add(name=f"a{number}", type=dtype.as_datatype_enum)
        function.signature.output_arg.add(name="r", type=gives.as_datatype_enum)
        body = Body(function.node_def, inside=True)
        if gives == BOOL:
            function.ret["r"] = body.const("given", True)
        else:
            body.add("Identity", "given", "a0", T=gives)
            function.ret["r"] = "given:output:0"
        if put is not None:
            function.control_ret["run"] = put(body)
            function.signature.control_output.append("run")
            function.signature.is_stateful = True
        return function

    def call(self, function, op="StatefulPartitionedCall", name="call", body=None, **more):
        """Adds a call of a function of one float, which the output waits for in the graph."""
        where = body or self.body
        given = "a0" if where.inside else "x"
        attributes = {"f": Func(function), "Tin": [FLOAT], "Tout": [FLOAT]}
        if op == function:
            attributes = {}
        where.add(op, name, given, **{**attributes, **more})
        if body is None:
            self.after(name)
        return name

    def collect(self, key, *names):
        self.meta_graph.collection_def[key].node_list.value.extend(names)

    def asset(self, tensor, file):
        """Says that a tensor is the path of a file of the module's own."""
        entry = meta_graph_pb2.AssetFileDef(filename="vocab.txt")
        entry.tensor_info.name = tensor
        collection = self.meta_graph.collection_def["saved_model_assets"]
        collection.any_list.value.add().Pack(entry)
        self.assets["vocab.txt"] = str(file)

    def table(self, name):
        """Adds a table of strings and numbers; returns its handle."""
        self.body.add("HashTableV2", name, key_dtype=STRING, value_dtype=INT64, shared_name=name)
        return f"{name}:0"

    def fill(self, table, *after, name=None):
        """Adds what fills a table, which waits for some nodes."""
        name = name or f"{table}/fill"
        keys = self.body.const(f"{name}/keys", ["a"])
        values = self.body.const(f"{name}/values", tf.constant([1], INT64).numpy())
        self.body.add(
            *("InitializeTableV2", name, f"{table}:0", keys, values),
            *(f"^{each}" for each in after),
            Tkey=STRING,
            Tval=INT64,
        )
        self.collect(KEYS.TABLE_INITIALIZERS, name)
        return name

    def look_up(self, table, name):
        """Adds what reads a table."""
        key = self.body.const(f"{name}/key", "a")
        default = self.body.const(f"{name}/default", tf.constant(0, INT64).numpy())
        return self.body.add(
            *("LookupTableFindV2", name, f"{table}:0", key, default), Tin=STRING, Tout=INT64
        )

    def variable(self, name, *collections, after=()):
        """Adds a variable with an initializer, which waits for some nodes."""
        shape = tf.TensorShape([])
        self.body.add("VarHandleOp", name, dtype=FLOAT, shape=shape, shared_name=name)
        value = self.body.const(f"{name}/value", 1.0)
        waits = [f"^{each}" for each in after]
        self.body.add("AssignVariableOp", f"{name}/Assign", name, value, *waits, dtype=FLOAT)
        self.body.add("ReadVariableOp", f"{name}/Read", name, dtype=FLOAT)
        self._define(name, value, collections, is_resource=True)
        return f"{name}/Read"

    def reference_variable(self, name, *collections):
        """Adds a variable as early TensorFlow 1 had them, with an initializer."""
        shape = tf.TensorShape([])
        self.body.add("VariableV2", name, dtype=FLOAT, shape=shape, container="", shared_name="")
        value = self.body.const(f"{name}/value", 1.0)
        self.body.add("Assign", f"{name}/Assign", name, value, T=FLOAT)
        self.body.add("Identity", f"{name}/Read", name, T=FLOAT)
        self._define(name, value, collections, is_resource=False)
        return f"{name}/Read"

    def _define(self, name, value, collections, *, is_resource):
        definition = variable_pb2.VariableDef(
            variable_name=f"{name}:0",
            initializer_name=f"{name}/Assign",
            snapshot_name=f"{name}/Read:0",
            initial_value_name=value,
            is_resource=is_resource,
            trainable=True,
        )
        for key in collections:
            values = self.meta_graph.collection_def[key].bytes_list.value
            values.append(definition.SerializeToString())

    def spec(self, *others):
        """What is read of the module, with other variants if there are any."""
        saved_model = saved_model_pb2.SavedModel(saved_model_schema_version=1)
        saved_model.meta_graphs.extend(each.meta_graph for each in (self, *others))
        return hub.ModuleSpec(ModuleFiles("handmade", saved_model, assets=self.assets))


def function_names(graph_def: graph_pb2.GraphDef):
    return {function.signature.name for function in graph_def.library.function}


def all_nodes(graph_def: graph_pb2.GraphDef) -> list[node_def_pb2.NodeDef]:
    """The nodes of a graph and of its functions."""
    functions: list[function_pb2.FunctionDef] = list(graph_def.library.function)
    return [*graph_def.node, *(node for function in functions for node in function.node_def)]
