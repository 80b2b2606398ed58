"""The ways by which a module comes to run a node: each adds it to a handmade module."""

import tensorflow as tf

from helpers.handmade import BOOL, FLOAT, KEYS, STRING, Func, call_attribute
from hub_keras_bridge.graphs.ops import definitions

# Name of a route -> how it puts a node into a module.
ROUTES = {}

# Of these TensorFlow 2's calls run nothing; a session would.
IN_SESSIONS = set()


def route(function):
    ROUTES[function.__name__] = function
    return function


def in_sessions(function):
    IN_SESSIONS.add(function.__name__)
    return route(function)


# -- The graph


@route
def control_edge(module, put):
    module.after(put(module.body))


@route
def data_edge(module, put):
    name = put(module.body)
    node = next(each for each in module.graph_def.node if each.name == name)
    given = [tf.as_dtype(dtype) for dtype in definitions.output_dtypes(node, {})]
    if not given:
        return module.after(name)
    module.body.add("IdentityN", "passed", *(f"{name}:{n}" for n in range(len(given))), T=given)
    return module.after("passed")


@route
def v1_conditional(module, put):
    body = module.body
    chosen = body.source(tf.bool.as_datatype_enum)
    body.add("Switch", "switch", "x", chosen, T=FLOAT)
    body.add("Identity", "then", "switch:1", T=FLOAT)
    name = put(body)
    module.after("then", node=name)
    body.add("Identity", "there", "then", f"^{name}", T=FLOAT)
    body.add("Merge", "merged", "switch:0", "there", T=FLOAT, N=2)
    module.after("merged")


@route
def v1_loop(module, put):
    body = module.body
    frame = {"T": FLOAT, "frame_name": "loop"}
    body.add("Enter", "enter", "x", **frame)
    body.add("Merge", "merge", "enter", "next", T=FLOAT, N=2)
    limit = body.const("limit", 3.0)
    body.add("Enter", "limit/enter", limit, is_constant=True, **frame)
    body.add("Less", "less", "merge", "limit/enter", T=FLOAT)
    body.add("LoopCond", "cond", "less")
    body.add("Switch", "switch", "merge", "cond", T=FLOAT)
    body.add("Identity", "turn", "switch:1", T=FLOAT)
    name = put(body)
    module.after("turn", node=name)
    body.add("NextIteration", "next", "turn", f"^{name}", T=FLOAT)
    body.add("Exit", "exit", "switch:0", T=FLOAT)
    module.after("exit")


# -- Functions


@route
def partitioned_call(module, put):
    module.function("f", put)
    module.call("f", "PartitionedCall")


@route
def stateful_partitioned_call(module, put):
    module.function("f", put)
    module.call("f")


@route
def call_as_an_op(module, put):
    module.function("f", put)
    module.call("f", "f")


@route
def nested_twice(module, put):
    module.function("h", put)
    module.function("g", lambda body: module.call("h", body=body))
    module.function("f", lambda body: module.call("g", "g", body=body))
    module.call("f")


@route
def function_passed_on(module, put):
    module.function("f", put)
    module.call("harmless", f=call_attribute("harmless", inner=call_attribute("f")))


def conditional(module, put, op, taken):
    module.function("f", put)
    branches = {"then_branch": Func("harmless"), "else_branch": Func("harmless"), taken: Func("f")}
    chosen = module.body.source(tf.bool.as_datatype_enum)
    types = {"Tcond": BOOL, "Tin": [FLOAT], "Tout": [FLOAT]}
    module.after(module.body.add(op, "if", chosen, "x", **branches, **types))


@route
def then_branch(module, put):
    conditional(module, put, "If", "then_branch")


@route
def else_branch(module, put):
    conditional(module, put, "StatelessIf", "else_branch")


@route
def case_branch(module, put):
    module.function("f", put)
    index = module.body.source(tf.int32.as_datatype_enum)
    types = {"Tin": [FLOAT], "Tout": [FLOAT]}
    branches = [Func("harmless"), Func("f")]
    module.after(module.body.add("Case", "case", index, "x", branches=branches, **types))


@route
def loop_condition(module, put):
    module.function("f", put, gives=BOOL)
    module.after(
        module.body.add("While", "w", "x", T=[FLOAT], cond=Func("f"), body=Func("harmless"))
    )


@route
def loop_body(module, put):
    module.function("c", gives=BOOL)
    module.function("f", put)
    attributes = {"cond": Func("c"), "body": Func("f")}
    module.after(module.body.add("StatelessWhile", "w", "x", T=[FLOAT], **attributes))


@route
def map_function(module, put):
    module.function("f", put)
    types = {"Targuments": [FLOAT], "output_types": [FLOAT]}
    shapes = [tf.TensorShape([])]
    some = module.body.source(FLOAT.as_datatype_enum)
    module.after(
        module.body.add("MapDefun", "map", some, f=Func("f"), output_shapes=shapes, **types)
    )


@route
def dataset_function(module, put):
    module.function("f", put)
    some = module.body.source(tf.variant.as_datatype_enum)
    types = {"Targuments": [], "output_types": [FLOAT], "output_shapes": [tf.TensorShape([])]}
    module.after(module.body.add("MapDataset", "map", some, f=Func("f"), **types))


# -- Gradients


def symbolic_gradient(module, function):
    types = {"Tin": [FLOAT, FLOAT], "Tout": [FLOAT], "f": Func(function)}
    module.after(module.body.add("SymbolicGradient", "gradient", "x", "x", **types))


@route
def gradient_of_a_function(module, put):
    module.function("f", put)
    symbolic_gradient(module, "f")


@route
def gradient_in_the_library(module, put):
    module.function("f")
    module.function("g", put, takes=(FLOAT, FLOAT))
    module.library.gradient.add(function_name="f", gradient_func="g")
    module.call("f")


@route
def gradient_of_a_gradient(module, put):
    module.function("f")
    module.function("g", takes=(FLOAT, FLOAT))
    module.function("h", put, takes=(FLOAT, FLOAT, FLOAT))
    module.library.gradient.add(function_name="f", gradient_func="g")
    module.library.gradient.add(function_name="g", gradient_func="h")
    symbolic_gradient(module, "f")


@route
def registered_gradient(module, put):
    module.function("g", put, takes=(FLOAT, FLOAT))
    module.library.registered_gradients.add(registered_op_type="Own", gradient_func="g")
    module.after(module.body.add("Identity", "asks", "x", T=FLOAT, _gradient_op_type="Own"))


@route
def named_beside_a_function(module, put):
    module.function("f", put)
    called = module.function("k")
    called.attr["backward_function_name"].s = b"f"
    module.call("k")


# -- State


@route
def initializer_of_a_table(module, put):
    module.table("table")
    module.fill("table", put(module.body))
    module.after(module.look_up("table", "find"))


@route
def initializer_of_a_table_that_an_initializer_reads(module, put):
    module.table("inner")
    module.fill("inner", put(module.body))
    module.table("outer")
    module.fill("outer", module.look_up("inner", "find/inner"))
    module.after(module.look_up("outer", "find"))


@route
def initializer_that_calls_a_function(module, put):
    module.function("f", put)
    module.table("table")
    module.body.add(
        *("StatefulPartitionedCall", "call", module.body.source(FLOAT.as_datatype_enum)),
        **{"f": Func("f"), "Tin": [FLOAT], "Tout": [FLOAT]},
    )
    module.fill("table", "call")
    module.after(module.look_up("table", "find"))


@in_sessions
def initializer_of_a_table_that_nothing_reads(module, put):
    module.table("table")
    module.fill("table", put(module.body))


@in_sessions
def initializer_of_a_table_that_an_asset_waits_for(module, put):
    module.table("hidden")
    module.fill("hidden", put(module.body))
    path = module.body.add("Const", "path", "^hidden", value=_text("path"), dtype=STRING)
    module.after(module.body.add("Identity", "uses", path, T=STRING))
    module.asset("path:0", __file__)


@in_sessions
def what_an_asset_waits_for(module, put):
    name = put(module.body)
    path = module.body.add("Const", "path", f"^{name}", value=_text("path"), dtype=STRING)
    module.after(module.body.add("Identity", "uses", path, T=STRING))
    module.asset("path:0", __file__)


@in_sessions
def what_a_variable_waits_for(module, put):
    module.variable("v", KEYS.GLOBAL_VARIABLES)
    module.after(put(module.body), node="v")
    module.after("v/Read")


# -- Training


@route
def update_op(module, put):
    module.collect(KEYS.UPDATE_OPS, put(module.body))


@route
def standing_loss(module, put):
    loss = module.body.const("loss/weights", 1.0)
    module.body.add("Identity", "loss", loss, f"^{put(module.body)}", T=FLOAT)
    module.collect(KEYS.REGULARIZATION_LOSSES, "loss:0")


@route
def fed_loss(module, put):
    module.body.add("Identity", "loss", "x", f"^{put(module.body)}", T=FLOAT)
    module.collect(KEYS.REGULARIZATION_LOSSES, "loss:0")


def _text(value):
    return tf.make_tensor_proto(value)
