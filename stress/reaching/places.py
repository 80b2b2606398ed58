"""Where a part is put: all that loading, calling or training may run or look at."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
from tensorflow.core.framework import types_pb2, variable_pb2
from tensorflow.core.protobuf import queue_runner_pb2, saver_pb2

from hub_keras_bridge.graphs import graph
from stress.reaching.case import Case, NotApplicable, Part, const, in_function, node, output_dtypes
from stress.reaching.payloads import read_number
from stress.reaching.wraps import NOTHING, function, reference, shape_of_file, wrapped

_FLOAT = types_pb2.DT_FLOAT


def add(case: Case, part: Part) -> str:
    """Adds a part to the graph; the name of its node that matters."""
    case.graph_def.node.extend(part.nodes)
    return part.runs


def nowhere(case: Case) -> str:
    """In the graph, with nothing that depends on it."""
    part = wrapped(case)
    add(case, part)
    return part.told


def function_never_called(case: Case) -> str:
    part = wrapped(case)
    function(case, part)
    return part.told


def control_input(case: Case) -> str:
    """Before any node of the graph."""
    part = wrapped(case)
    target = case.choose(case.nodes)
    target.input.append(f"^{add(case, part)}")
    return f"{part.told} before {target.name} ({target.op})"


def control_input_within_function(case: Case) -> str:
    """Before any node of a function."""
    part = wrapped(case)
    body = case.choose([f for f in case.graph_def.library.function if f.node_def])
    target = case.choose(list(body.node_def))
    body.node_def.extend(in_function(part.nodes, case.functions))
    target.input.append(f"^{part.runs}")
    return f"{part.told} before {target.name} in {body.signature.name}"


def effect_of_function(case: Case) -> str:
    """As a control output of a function."""
    part = wrapped(case)
    body = case.choose(case.graph_def.library.function)
    body.node_def.extend(in_function(part.nodes, case.functions))
    name = case.name("effect")
    body.control_ret[name] = part.runs
    body.signature.control_output.append(name)
    return f"{part.told} as an effect of {body.signature.name}"


def asset(case: Case) -> str:
    """Before the constant with an asset's path."""
    target = case.choose([each for each in case.nodes if each.name in case.assets])
    part = wrapped(case)
    target.input.append(f"^{add(case, part)}")
    return f"{part.told} before the asset {target.name}"


def asset_and_hidden_table(case: Case) -> str:
    """A table that no signature reads stands before an asset's path, or any constant."""
    part, told, table = _hidden_table(case)
    assets = case.assets
    constants = [each for each in case.nodes if each.op == "Const"]
    paths = [each for each in constants if each.name in assets]
    target = case.choose(constants if case.maybe(0.2) else paths)
    add(case, part)
    target.input.append(f"^{table}")
    return f"{told}; the table before {target.name}"


def table(case: Case) -> str:
    """A table that some node waits for."""
    part, told, name = _hidden_table(case)
    target = case.choose(case.nodes)
    add(case, part)
    target.input.append(f"^{name}")
    return f"{told}; the table before {target.name}"


def table_by_lookup(case: Case) -> str:
    """A table that a lookup reads on the way to an output."""
    part, told, name = _hidden_table(case)
    words = const(case.name("words"), ["a"], tf.string)
    default = const(case.name("default"), 0, tf.int64)
    find = node(
        case.name("find"),
        "LookupTableFindV2",
        [name, words.name, default.name],
        Tin=tf.string,
        Tout=tf.int64,
    )
    add(case, part)
    case.graph_def.node.extend([words, default, find])
    return f"{told}; {_before_output(case, find.name)}"


def _hidden_table(case: Case) -> tuple[Part, str, str]:
    """A table, its initializer in the collection, which waits for the part."""
    part = wrapped(case)
    name = case.name("hidden_table")
    made = node(name, "HashTableV2", key_dtype=tf.string, value_dtype=tf.int64)
    made.attr["shared_name"].s = name.encode()
    keys = const(case.name("keys"), ["a"], tf.string)
    values = const(case.name("values"), [1], tf.int64)
    fill = node(
        case.name("fill"),
        "LookupTableImportV2",
        [name, keys.name, values.name],
        Tin=tf.string,
        Tout=tf.int64,
    )
    target = case.choose([made, keys, fill, fill])
    target.input.append(f"^{part.runs}")
    _collect(case, "table_initializer", fill.name)
    told = f"{part.told} before {target.op} of a table's initializer"
    return Part((*part.nodes, made, keys, values, fill), fill.name, told), told, name


def output(case: Case) -> str:
    """Before an output of a signature."""
    part = wrapped(case)
    return f"{part.told} {_before_output(case, add(case, part))}"


def _before_output(case: Case, runs: str) -> str:
    signature = case.choose_value(case.meta_graph.signature_def)
    info = case.choose_value(signature.outputs)
    name = graph.node_name(info.name)
    target = case.choose([each for each in case.nodes if each.name == name])
    dtypes = output_dtypes(target, case)
    if not dtypes:
        raise NotApplicable
    index = int(info.name.rpartition(":")[2] or 0)
    after = node(case.name("after"), "Identity", [info.name, f"^{runs}"])
    after.attr["T"].type = dtypes[min(index, len(dtypes) - 1)]
    case.graph_def.node.append(after)
    info.name = f"{after.name}:0"
    return f"before an output {name}"


def between(case: Case) -> str:
    """On the way from one node to another."""
    part = wrapped(case)
    by_name = {each.name: each for each in case.nodes}
    target = case.choose(
        [e for e in case.nodes if any(graph.node_name(i) in by_name for i in e.input)]
    )
    position = case.choose(
        [i for i, s in enumerate(target.input) if s[:1] != "^" and graph.node_name(s) in by_name]
    )
    name, _, index = target.input[position].partition(":")
    dtypes = output_dtypes(by_name[name], case)
    if int(index or 0) >= len(dtypes):
        raise NotApplicable
    after = node(case.name("after"), "Identity", [target.input[position], f"^{add(case, part)}"])
    after.attr["T"].type = dtypes[int(index or 0)]
    case.graph_def.node.append(after)
    target.input[position] = after.name
    return f"{part.told} between {name} and {target.name}"


_OPS_OF_COLLECTIONS = [
    "table_initializer",
    "update_ops",
    "local_init_op",
    "saved_model_main_op",
    "legacy_init_op",
    "saved_model_train_op",
    "init_op",
    "ready_op",
    "ready_for_local_init_op",
    "train_op",
    "summaries",
    "summary_op",
    "losses",
    "activations",
    "asset_filepaths",
    "global_step",
    "eval_step",
    "resources",
    "local_resources",
    "hub_module_attachments",
]


def collection(case: Case) -> str:
    """As an op of a collection that TensorFlow or a library knows."""
    part = wrapped(case)
    key = case.choose(_OPS_OF_COLLECTIONS)
    _collect(case, key, add(case, part))
    return f"{part.told} in {key}"


def _collect(case: Case, key: str, value: str) -> None:
    case.meta_graph.collection_def[key].node_list.value.append(value)


def loss(case: Case) -> str:
    """Before a regularization loss, which loads and calls may compute."""
    part = wrapped(case)
    made = const(case.name("loss"), 1.0, tf.float32)
    made.input.append(f"^{add(case, part)}")
    case.graph_def.node.append(made)
    _collect(case, "regularization_losses", f"{made.name}:0")
    return f"{part.told} before a regularization loss"


def update(case: Case) -> str:
    part = wrapped(case)
    _collect(case, "update_ops", add(case, part))
    return f"{part.told} as an update"


def saver(case: Case) -> str:
    """As the op that restores or saves."""
    part = wrapped(case)
    runs = add(case, part)
    made = saver_pb2.SaverDef(
        filename_tensor_name=f"{runs}:0",
        save_tensor_name=f"{runs}:0",
        restore_op_name=runs,
        max_to_keep=5,
        version=saver_pb2.SaverDef.V2,
    )
    if case.maybe():
        case.meta_graph.saver_def.CopyFrom(made)
        return f"{part.told} in saver_def"
    case.meta_graph.collection_def["savers"].bytes_list.value.append(made.SerializeToString())
    return f"{part.told} in the collection of savers"


def init_signature(case: Case) -> str:
    """As what a signature of a special name runs."""
    part = wrapped(case)
    key = case.choose(["__saved_model_init_op", "__saved_model_train_op", "init", "default_again"])
    info = case.meta_graph.signature_def[key].outputs[key]
    info.name = add(case, part)
    info.dtype = _FLOAT
    info.tensor_shape.unknown_rank = True
    return f"{part.told} in signature {key}"


def initializer(case: Case) -> str:
    """Before a variable's handle, or what assigns its first value."""
    part = wrapped(case)
    ops = (
        "VarHandleOp",
        "VariableV2",
        "AssignVariableOp",
        "Assign",
        "ReadVariableOp",
        "VarIsInitializedOp",
    )
    target = case.choose([each for each in case.nodes if each.op in ops])
    target.input.append(f"^{add(case, part)}")
    return f"{part.told} before {target.name} ({target.op})"


def variable_definition(case: Case) -> str:
    """As the initializer, snapshot or initial value of a VariableDef."""
    keys = ("variables", "trainable_variables")
    key = case.choose([key for key in keys if case.collection(key).bytes_list.value])
    values = case.meta_graph.collection_def[key].bytes_list.value
    position = case.drawn.randrange(len(values))
    definition = variable_pb2.VariableDef.FromString(values[position])
    part = wrapped(case)
    field = case.choose(
        ["initializer_name", "snapshot_name", "initial_value_name", "variable_name"]
    )
    setattr(definition, field, add(case, part) + ("" if field == "initializer_name" else ":0"))
    values[position] = definition.SerializeToString()
    return f"{part.told} as {field}"


def queue_runner(case: Case) -> str:
    part = wrapped(case)
    runs = add(case, part)
    made = queue_runner_pb2.QueueRunnerDef(
        queue_name=runs, enqueue_op_name=[runs], close_op_name=runs, cancel_op_name=runs
    )
    case.meta_graph.collection_def["queue_runners"].bytes_list.value.append(
        made.SerializeToString()
    )
    return f"{part.told} in a queue runner"


def attribute_of_any_node(case: Case) -> str:
    """A function in an attribute that the op does not have."""
    part = wrapped(case)
    made = function(case, part).signature.name
    target = case.node()
    key = case.choose(["_f", "f", "_custom", "_XlaX", "api_implements", "_gradient_function"])
    target.attr[key].CopyFrom(reference(made))
    return f"{part.told} in {key} of {target.name}"


def registered_gradient(case: Case) -> str:
    """A registered gradient of a node that floats go through."""
    body = case.choose([case.nodes, *(f.node_def for f in case.graph_def.library.function)])
    target = case.choose([n for n in body if n.input and output_dtypes(n, case) == [_FLOAT]])
    part = wrapped(case)
    # None at all is a gradient that is not there, and an effect that is.
    count = 0 if case.maybe() else sum(not name.startswith("^") for name in target.input)
    made = function(case, part, [_FLOAT], count=count)
    name = case.name("CustomGradient") if case.maybe(0.8) else target.op
    target.attr["_gradient_op_type"].s = name.encode()
    case.graph_def.library.registered_gradients.add(
        gradient_func=made.signature.name, registered_op_type=name
    )
    return f"{part.told} as gradient {name} of {target.name} ({target.op})"


def existing_gradient(case: Case) -> str:
    """In the function of a gradient that the module has registered."""
    names = [each.gradient_func for each in case.graph_def.library.registered_gradients]
    names += [each.gradient_func for each in case.graph_def.library.gradient]
    body = case.functions[case.choose([name for name in names if name in case.functions])]
    part = wrapped(case)
    body.node_def.extend(in_function(part.nodes, case.functions))
    if body.ret and case.maybe():
        target = case.choose(body.node_def)
        target.input.append(f"^{part.runs}")
    else:
        body.control_ret[part.runs] = part.runs
        body.signature.control_output.append(part.runs)
    if case.is_tf2 and case.maybe(0.7):
        # No object has it: the library alone says that it is a gradient.
        case.meta_graph.object_graph_def.concrete_functions.pop(body.signature.name, None)
    return f"{part.told} in gradient {body.signature.name}"


def gradient_of_library_function(case: Case) -> str:
    """A gradient for a function that the module has."""
    part = wrapped(case)
    target = case.choose(case.graph_def.library.function)
    signature = target.signature
    made = function(case, part, [a.type for a in (*signature.input_arg, *signature.output_arg)])
    case.graph_def.library.gradient.add(
        function_name=signature.name, gradient_func=made.signature.name
    )
    return f"{part.told} as gradient of {signature.name}"


def shape_between(case: Case) -> str:
    """A shape read from a file for an edge of a function or the graph."""
    bodies = [(f, f.node_def) for f in case.graph_def.library.function if f.node_def]
    body, nodes = case.choose(bodies) if bodies and case.maybe(0.7) else (None, case.graph_def.node)
    read = read_number(case)
    axis = const(case.name("axis"), 0, tf.int32)
    shape = node(
        case.name("shape"), "ExpandDims", [read.runs, axis.name], T=tf.int32, Tdim=tf.int32
    )
    given = const(case.name("given"), 1.0, tf.float32)
    op = case.choose(["BroadcastTo", "Fill", "EnsureShape"])
    if op == "Fill":
        use = node(case.name("use"), "Fill", [shape.name, given.name], T=tf.float32)
    else:
        use = node(case.name("use"), "BroadcastTo", [given.name, shape.name], T=tf.float32)
    made = [*read.nodes, axis, shape, given, use]
    if op == "EnsureShape":
        made.append(
            node(case.name("ensured"), op, [use.name], T=tf.float32, shape=tf.TensorShape([None]))
        )
    if body is not None:
        nodes.extend(in_function(made, case.functions))
        return f"{op} of a file's shape, unused, in {body.signature.name}"
    nodes.extend(made)
    if case.maybe():
        return f"{op} of a file's shape {_before_output(case, made[-1].name)}"
    return f"{op} of a file's shape, unused"


def shape_in_function_never_called(case: Case) -> str:
    part = shape_of_file(case, NOTHING)
    if case.maybe():
        # As what it returns, so that it is looked at with the signature.
        function(case, Part(part.nodes[:-1], part.runs, ""), [], (_FLOAT, part.nodes[-1]))
    else:
        function(case, part)
    return part.told


PLACES: list[Callable[[Case], str]] = [
    nowhere,
    function_never_called,
    control_input,
    control_input_within_function,
    effect_of_function,
    asset,
    asset_and_hidden_table,
    table,
    table_by_lookup,
    output,
    between,
    collection,
    loss,
    update,
    saver,
    init_signature,
    initializer,
    variable_definition,
    queue_runner,
    attribute_of_any_node,
    registered_gradient,
    existing_gradient,
    gradient_of_library_function,
    shape_between,
    shape_in_function_never_called,
]
