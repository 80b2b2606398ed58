"""Graphs of a given size, made to be slow to look through: protos alone, nothing is built.

Each function takes how many there are to be of what it is named after, and
returns a :class:`Large`.
"""

from tensorflow.core.framework import attr_value_pb2, types_pb2, variable_pb2
from tensorflow.core.protobuf import control_flow_pb2, meta_graph_pb2, saved_model_pb2

from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.files.layout import (
    ASSETS_COLLECTION,
    ATTACHMENTS_COLLECTION,
    ModuleAttachment,
)
from hub_keras_bridge.files.module_folder import ModuleFiles

FLOAT, STRING, RESOURCE = types_pb2.DT_FLOAT, types_pb2.DT_STRING, types_pb2.DT_RESOURCE
INT32, BOOL = types_pb2.DT_INT32, types_pb2.DT_BOOL

TWO = attr_value_pb2.AttrValue(i=2)


class Large:
    """A MetaGraphDef that grows, around a placeholder ``x``."""

    def __init__(self, tags=()):
        self.meta_graph = meta_graph_pb2.MetaGraphDef()
        self.meta_graph.meta_info_def.tags.extend(tags)
        self.graph_def = self.meta_graph.graph_def
        self.add("x", "Placeholder", dtype=FLOAT)

    def add(self, name, op, *inputs, within=None, **attributes):
        """Adds a node to the graph or to the nodes of a function; returns its name."""
        nodes = self.graph_def.node if within is None else within
        added = nodes.add(name=name, op=op, input=inputs)
        for key, value in attributes.items():
            _set(added.attr[key], value)
        return name

    def row(self, op, first, count, **attributes):
        """Adds nodes, each of which reads the one before; returns the last one's name."""
        for number in range(count):
            first = self.add(f"{op}_{number}", op, first, **attributes)
        return first

    def sum(self, names):
        """Adds a node that reads all of some nodes, as the output of a signature."""
        count = attr_value_pb2.AttrValue(i=len(names))
        return self.returns(self.add("sum", "AddN", *names, T=FLOAT, N=count))

    def variable(self, name, shape=(1,), part=None):
        """Adds a variable; ``part`` is the full name, the full shape and the offset of a slice."""
        self.add(name, "VarHandleOp", dtype=FLOAT, shape=shape)
        definition = variable_pb2.VariableDef(variable_name=f"{name}:0", trainable=True)
        if part:
            info = definition.save_slice_info_def
            info.full_name, info.full_shape[:], info.var_offset[:] = part
        listed = self.meta_graph.collection_def["variables"].bytes_list.value
        listed.append(definition.SerializeToString())
        return name

    def function(self, name, *callees):
        """Adds a function of a float that calls others in a row."""
        function = self.graph_def.library.function.add()
        function.signature.name = name
        function.signature.input_arg.add(name="x", type=FLOAT)
        function.signature.output_arg.add(name="y", type=FLOAT)
        source = "x"
        for number, callee in enumerate(callees):
            self.add(f"call_{number}", callee, source, within=function.node_def)
            source = f"call_{number}:y:0"
        self.add("last", "Neg", source, within=function.node_def, T=FLOAT)
        function.ret["y"] = "last:y:0"

    def returns(self, output, *more, signature="default"):
        """Adds a signature from ``x`` to some nodes."""
        definition = self.meta_graph.signature_def[signature]
        names = {"default": output} | {f"more_{i}": name for i, name in enumerate(more)}
        for infos, tensors in (definition.inputs, {"x": "x"}), (definition.outputs, names):
            for key, tensor in tensors.items():
                infos[key].name, infos[key].dtype = f"{tensor}:0", FLOAT
                infos[key].tensor_shape.unknown_rank = True
        return self

    @property
    def nodes(self):
        return {node.name: node for node in self.graph_def.node}

    def spec(self, **assets):
        return spec_of(self, assets=assets)


def spec_of(*graphs, assets=None):
    """A module with these graphs as its variants."""
    saved_model = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    saved_model.meta_graphs.extend(graph.meta_graph for graph in graphs)
    return ModuleSpec(ModuleFiles("large", saved_model, assets=assets or {}))


def _set(attribute, value):
    match value:
        case attr_value_pb2.AttrValue():
            attribute.CopyFrom(value)
        case bool():
            attribute.b = value
        case int():
            attribute.type = value
        case bytes():
            attribute.s = value
        case tuple():
            attribute.shape.dim.extend(type(attribute.shape).Dim(size=size) for size in value)


# --- chains and functions ---


def chain(count):
    large = Large()
    return large.returns(large.row("Identity", "x", count, T=FLOAT))


def control_chain(count):
    large = Large()
    last = "x"
    for number in range(count):
        last = large.add(f"n{number}", "Neg", "x", f"^{last}", T=FLOAT)
    return large.returns(last)


def inputs_of_a_signature(count):
    large = Large()
    info = large.meta_graph.signature_def["default"].inputs
    for number in range(count):
        name = large.add(f"x{number}", "Placeholder", dtype=FLOAT)
        info[name].name, info[name].dtype = f"{name}:0", FLOAT
    return large.sum([f"x{number}" for number in range(count)])


def functions_in_a_row(count):
    large = Large()
    for number in range(count):
        large.function(f"f{number}", *([f"f{number + 1}"] if number + 1 < count else []))
    return large.returns(large.add("call", "f0", "x"))


def functions_that_one_calls(count):
    large = Large()
    large.function("f", *(f"f{number}" for number in range(count)))
    for number in range(count):
        large.function(f"f{number}")
    return large.returns(large.add("call", "f", "x"))


def functions_that_call_the_next_twice(count):
    large = Large()
    for number in range(count):
        large.function(f"f{number}", *([f"f{number + 1}"] * 2 if number + 1 < count else []))
    return large.returns(large.add("call", "f0", "x"))


# --- variables ---


def variables(count):
    large = Large()
    for number in range(count):
        large.variable(f"scope_{number % 40}/v{number}")
    return large.returns("x")


def slices(count):
    large = Large()
    for number in range(count):
        large.variable(f"v/part_{number}", part=("v", [count], [number]))
    return large.returns("x")


def scopes_in_a_name(count):
    large = Large()
    large.variable("a/" * count + "v")
    large.variable("a/" * count + "w")
    return large.returns("x")


def references_in_a_row(count):
    """The last comes first: whoever asks for it has all before him."""
    large = Large()
    for number in reversed(range(count)):
        large.add(f"r{number}", "RefIdentity", f"r{number - 1}" if number else "v", T=FLOAT)
    large.add("v", "VariableV2", dtype=FLOAT, shape=(1,))
    return large.returns(f"r{count - 1}")


def references_published(count):
    large = Large()
    names = [large.add(f"v{n}", "VariableV2", dtype=FLOAT, shape=(1,)) for n in range(count)]
    return large.returns(*names)


def normalizations_of_one_kernel(count):
    large = Large()
    large.add("read", "ReadVariableOp", large.variable("v", (1, 1, 1, 1)), dtype=FLOAT)
    kernel = large.row("Identity", "read", count, T=FLOAT)
    for number in range(count):
        large.add(f"c{number}", "Conv2D", "x", kernel, T=FLOAT)
        large.add(
            *(f"n{number}", "FusedBatchNormV3", f"c{number}", "x", "x", "x", "x"),
            **{"T": FLOAT, "U": FLOAT, "is_training": False},
        )
    return large.sum([f"n{number}" for number in range(count)])


# --- control flow ---


def conditionals_in_a_row(count):
    large = Large()
    last = "x"
    large.add("p", "Placeholder", dtype=BOOL)
    for scope in (f"c{number}" for number in range(count)):
        large.add(f"{scope}/pred_id", "Identity", "p", T=BOOL)
        large.add(f"{scope}/switch", "Switch", last, f"{scope}/pred_id", T=FLOAT)
        large.add(f"{scope}/neg", "Neg", f"{scope}/switch:1", T=FLOAT)
        last = large.add(
            f"{scope}/merge", "Merge", f"{scope}/switch", f"{scope}/neg", T=FLOAT, N=TWO
        )
    return large.returns(last)


def merges_of_a_conditional(count):
    large = Large()
    large.add("p", "Placeholder", dtype=BOOL)
    large.add("switch", "Switch", "x", "p", T=FLOAT)
    for number in range(count):
        large.add(f"n{number}", "Neg", "switch:1", T=FLOAT)
        large.add(f"m{number}", "Merge", "switch", f"n{number}", T=FLOAT, N=TWO)
    return large.sum([f"m{number}" for number in range(count)])


def effects_in_conditionals(count):
    """Returns as outputs what has to run."""
    large = Large()
    large.add("p", "Placeholder", dtype=BOOL)
    for number in range(count):
        large.add(f"q{number}", "Identity", "p", T=BOOL)
        large.add(f"s{number}", "Switch", "x", f"q{number}", T=FLOAT)
        large.add(f"i{number}", "Identity", f"s{number}:1", T=FLOAT)
        large.add(f"effect{number}", "NoOp", f"^i{number}")
    return large.returns(*(f"effect{number}" for number in range(count)))


def reads_in_a_conditional(count):
    """A variable's handle goes through a row of ops before it is read."""
    large = Large()
    large.add("p", "Placeholder", dtype=BOOL)
    large.add("v_switch", "Switch", large.variable("v"), "p", T=RESOURCE)
    large.add("x_switch", "Switch", "x", "p", T=FLOAT)
    handle = large.row("Identity", "v_switch:1", count, T=RESOURCE)
    large.add("read", "ReadVariableOp", handle, dtype=FLOAT)
    return large.returns(large.add("m", "Merge", "x_switch", "read", T=FLOAT, N=TWO))


def outputs_of_a_node_in_a_conditional(count):
    large = Large()
    large.add("p", "Placeholder", dtype=BOOL)
    large.add("switch", "Switch", "x", "p", T=FLOAT)
    many = attr_value_pb2.AttrValue(i=count)
    large.add("split", "Split", "switch:1", "switch:1", T=FLOAT, num_split=many)
    large.add("t", "AddN", *(f"split:{number}" for number in range(count)), T=FLOAT, N=many)
    return large.returns(large.add("m", "Merge", "switch", "t", T=FLOAT, N=TWO))


def loops_in_a_row(count):
    large = Large()
    last = "x"
    for number in range(count):
        last = _loop(large, f"w{number}", last)
    return large.returns(last)


def variables_of_a_loop(count):
    large = Large()
    names = [f"w/{number}" for number in range(count)]
    large.add("less", "IsFinite", f"{names[0]}/merge", T=FLOAT)
    large.add("cond", "LoopCond", "less")
    for name in names:
        _ring(large, b"w", name, "x", "cond", f"{name}/switch:1")
    return large.sum([f"{name}/exit" for name in names])


def gathers_by_one_index(count):
    large = Large()
    large.add("p", "Placeholder", dtype=BOOL)
    large.add("size", "Const", dtype=INT32)
    large.add("array", "TensorArrayV3", "size", dtype=FLOAT)
    large.add("index", "Range", "size", "size", "size")
    index = large.row("Identity", "index", count, T=INT32)
    for number in range(count):
        large.add(f"g{number}", "TensorArrayGatherV3", "array", index, "array:1", dtype=FLOAT)
    return large.sum([f"g{number}" for number in range(count)])


def branches_that_share(count):
    """Conditionals of one predicate, all of which depend on the same nodes."""
    large = Large()
    large.add("p", "Placeholder", dtype=BOOL)
    large.add("switch", "Switch", "x", "p", T=FLOAT)
    last = large.row("Identity", "switch:1", count, T=FLOAT)
    for number in range(count):
        large.add(f"scope_{number}/m", "Merge", "switch", last, T=FLOAT, N=TWO)
    return large.sum([f"scope_{number}/m" for number in range(count)])


def _loop(large, frame, source):
    large.add(f"{frame}/less", "IsFinite", f"{frame}/merge", T=FLOAT)
    large.add(f"{frame}/cond", "LoopCond", f"{frame}/less")
    large.add(f"{frame}/body", "Neg", f"{frame}/switch:1", T=FLOAT)
    return _ring(large, frame.encode(), frame, source, f"{frame}/cond", f"{frame}/body")


def _ring(large, frame, name, source, condition, following):
    large.add(f"{name}/enter", "Enter", source, T=FLOAT, frame_name=frame)
    large.add(f"{name}/merge", "Merge", f"{name}/enter", f"{name}/next", T=FLOAT, N=TWO)
    large.add(f"{name}/switch", "Switch", f"{name}/merge", condition, T=FLOAT)
    large.add(f"{name}/next", "NextIteration", following, T=FLOAT)
    return large.add(f"{name}/exit", "Exit", f"{name}/switch", T=FLOAT)


def contexts(count):
    large = references_in_a_row(1)
    listed = large.meta_graph.collection_def["while_context"].bytes_list.value
    for number in range(count):
        context = control_flow_pb2.WhileContextDef(context_name=f"w{number}")
        context.values_def.values.append("r0")
        listed.append(context.SerializeToString())
    return large


# --- lists ---


def assets(count):
    large = Large()
    listed = large.meta_graph.collection_def[ASSETS_COLLECTION].any_list.value
    for number in range(count):
        entry = meta_graph_pb2.AssetFileDef(filename=f"{number}.txt")
        entry.tensor_info.name = f"{large.add(f'a{number}', 'Const', dtype=STRING)}:0"
        listed.add().Pack(entry)
    return large.returns("x")


def attachments(count):
    large = Large()
    listed = large.meta_graph.collection_def[ATTACHMENTS_COLLECTION].bytes_list.value
    for number in range(count):
        listed.append(ModuleAttachment(key=f"k{number}", value=b"1").SerializeToString())
    return large.returns("x")


def outputs(count):
    return Large().returns(*["x"] * count)


def variants(count):
    """Specs, of graphs with ops that no other has."""
    graphs = [Large([f"t{number}"]).returns("x") for number in range(count)]
    for number, graph in enumerate(graphs):
        graph.add("n", f"Op{number}")
    return spec_of(*graphs)
