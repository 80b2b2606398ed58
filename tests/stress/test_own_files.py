"""Files of a module's own, which it may read: no way makes another file of them.

Each module here lists a file as its own and reads ``secret`` in its place, if it
is let. The bytes are ones that no exporter writes.
"""

import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.handmade import STRING, Body, Func, Handmade, call_attribute, text
from hub_keras_bridge.plans.audit import audit_module

v1 = tf.compat.v1


@pytest.fixture
def own(tmp_path):
    (tmp_path / "own").write_text("own")
    return tmp_path / "own"


@pytest.fixture
def secret(tmp_path):
    (tmp_path / "secret").write_text("secret")
    return str(tmp_path / "secret")


def reader(module, name, takes, read):
    """Adds a function of paths that gives the content of one."""
    function = module.library.function.add()
    function.signature.name = name
    function.signature.is_stateful = True
    for number in range(takes):
        function.signature.input_arg.add(name=f"a{number}", type=STRING.as_datatype_enum)
    function.signature.output_arg.add(name="r", type=STRING.as_datatype_enum)
    Body(function.node_def, inside=True).add("ReadFile", "read", read)
    function.ret["r"] = "read:contents:0"
    return function


def passing_on(module, name):
    """Adds a function that gives the path that it takes."""
    function = module.library.function.add()
    function.signature.name = name
    function.signature.input_arg.add(name="a0", type=STRING.as_datatype_enum)
    function.signature.output_arg.add(name="r", type=STRING.as_datatype_enum)
    Body(function.node_def, inside=True).add("Identity", "i", "a0", T=STRING)
    function.ret["r"] = "i:output:0"
    return function


def module_with(own):
    module = Handmade()
    module.body.const("path", "path")
    module.asset("path:0", own)
    return module


def give(module, tensor):
    """Has the signature give the tensor, too."""
    output = module.meta_graph.signature_def["default"].outputs["read"]
    output.name, output.dtype = tensor, STRING.as_datatype_enum
    output.tensor_shape.SetInParent()


def in_session(spec, given=1.0):
    with tf.Graph().as_default(), v1.Session() as session:
        outputs = hub.Module(spec, safe_mode=True)(given, as_dict=True)
        session.run(v1.tables_initializer())
        return session.run(outputs)


def refused_in_sessions(module, given=1.0):
    """By the audit too, as one that reads files."""
    spec = module.spec()
    assert audit_module(spec).refused_ops == {"ReadFile"}
    with pytest.raises(hub.UnsafeModuleError, match="ReadFile: reads files"):
        in_session(spec, given)
    return spec


def refused_everywhere(module, given=1.0):
    spec = refused_in_sessions(module, given)
    with pytest.raises(hub.UnsafeModuleError, match="ReadFile: reads files"):
        hub.ModuleLayer(spec, as_dict=True)
    with pytest.raises(hub.UnsafeModuleError, match="ReadFile: reads files"):
        hub.load(spec).signatures["default"]


def test_it_reads_its_own(own):
    module = module_with(own)
    module.body.add("ReadFile", "read", "path")
    give(module, "read:0")
    assert audit_module(module.spec()).is_safe
    assert hub.ModuleLayer(module.spec(), as_dict=True)(1.0)["read"].numpy() == b"own"
    assert in_session(module.spec())["read"] == b"own"


# -- A function that is called once in sight, with a path, and once out of it


def shared(own, secret):
    module = module_with(own)
    reader(module, "reads", 2, "a0")
    types = {"Tin": [STRING, STRING], "Tout": [STRING]}
    module.body.add("StatefulPartitionedCall", "once", "path", "path", f=Func("reads"), **types)
    module.after("once")
    module.body.const("elsewhere", secret)
    return module


def test_a_gradient(own, secret):
    module = shared(own, secret)
    passing_on(module, "f")
    module.library.gradient.add(function_name="f", gradient_func="reads")
    types = {"Tin": [STRING, STRING], "Tout": [STRING]}
    module.body.add("SymbolicGradient", "gradient", "elsewhere", "elsewhere", f=Func("f"), **types)
    give(module, "gradient:0")
    refused_everywhere(module)


def test_a_registered_gradient(own, secret):
    module = shared(own, secret)
    module.library.registered_gradients.add(registered_op_type="Own", gradient_func="reads")
    module.body.add("Identity", "asks", "elsewhere", T=STRING, _gradient_op_type="Own")
    give(module, "asks:0")
    spec = refused_in_sessions(module)
    # Of these names a function has nothing.
    assert hub.ModuleLayer(spec, as_dict=True)(1.0)["read"].numpy().decode() == secret


def test_a_function_beside_another(own, secret):
    module = shared(own, secret)
    passing_on(module, "f").attr["backward_function_name"].s = b"reads"
    types = {"Tin": [STRING], "Tout": [STRING]}
    module.body.add("PartitionedCall", "call", "elsewhere", f=Func("f"), **types)
    give(module, "call:0")
    spec = refused_in_sessions(module)
    # Of these names a function has nothing.
    assert hub.ModuleLayer(spec, as_dict=True)(1.0)["read"].numpy().decode() == secret


# -- Which argument is which


def several(own, secret):
    """A function of some paths and of one more, which it reads."""
    module = module_with(own)
    module.body.const("elsewhere", secret)
    function = reader(module, "f", 0, "last")
    many = function.signature.input_arg.add(name="many", type=STRING.as_datatype_enum)
    many.number_attr = "N"
    function.signature.attr.add(name="N", type="int")
    function.signature.input_arg.add(name="last", type=STRING.as_datatype_enum)
    give(module, "call:0")
    return module


def test_arguments_that_are_lists(own, secret):
    module = several(own, secret)
    module.body.add("f", "call", "path", "path", "elsewhere", N=2)
    refused_everywhere(module)


def test_arguments_that_are_lists_in_a_call(own, secret):
    module = several(own, secret)
    types = {"Tin": [STRING] * 3, "Tout": [STRING]}
    function = call_attribute("f", N=2)
    module.body.add(
        "StatefulPartitionedCall", "call", "path", "path", "elsewhere", f=function, **types
    )
    refused_everywhere(module)


# -- What is listed as a path


def test_a_path_that_the_caller_says(own, secret):
    module = Handmade()
    module.body.const("path", "path")
    module.asset("path:0", own)
    module.body.add("ReadFile", "read", "path")
    module.signature("default", {"x": ("path:0", STRING)}, {"default": ("read:0", STRING)})
    refused_everywhere(module, secret)


def placeholder(module, secret):
    module.body.add("Placeholder", "path", dtype=STRING, shape=tf.TensorShape([]))
    module.signature("default", {"x": ("path:0", STRING)}, {"default": ("read:0", STRING)})


def copy(module, secret):
    module.body.const("elsewhere", secret)
    module.body.add("Identity", "path", "elsewhere", T=STRING)


def other_constant(module, secret):
    module.body.add("HostConst", "path", value=text(secret), dtype=STRING)


def several_texts(module, secret):
    module.body.const("path", [secret, secret])


def one_of_several(module, secret):
    module.body.const("elsewhere", [secret, secret])
    module.body.add("Unpack", "path", "elsewhere", T=STRING, num=2, axis=0)


def no_text(module, secret):
    module.body.const("path", 1.0)


@pytest.mark.parametrize(
    "made", [placeholder, copy, other_constant, several_texts, one_of_several, no_text]
)
@pytest.mark.parametrize("tensor", ["path:0", "path", "path:1"])
def test_a_path_that_is_no_constant(own, secret, made, tensor):
    """A session would run the node itself. (The original refuses these, too.)"""
    module = Handmade()
    made(module, secret)
    module.body.add("ReadFile", "read", tensor)
    give(module, "read:0")
    module.asset(tensor, own)
    spec = module.spec()
    for use in (audit_module, hub.ModuleLayer, hub.load, in_session):
        with pytest.raises(hub.FormatError) as caught:
            use(spec)
        told = str(caught.value)
        assert told.startswith("Cannot read the assets of a TF1 Hub module")
        assert "Expected: a constant of one string as node 'path'" in told
        assert "Found: a node of type " in told


def test_a_path_that_is_written_in_two_ways(own, secret):
    """TensorFlow takes a tensor's packed content before its list of strings."""
    module = module_with(own)
    (node,) = (node for node in module.graph_def.node if node.name == "path")
    value = node.attr["value"].tensor
    value.tensor_content = bytes([len(secret)]) + secret.encode()
    module.body.add("ReadFile", "read", "path")
    give(module, "read:0")
    assert in_session(module.spec())["read"] == b"own"


def test_a_path_that_the_program_says(own, secret):
    module = module_with(own)
    module.body.add("ReadFile", "read", "path")
    give(module, "read:0")
    loaded = hub.load(module.spec())
    assert loaded.prune([], "read:0")().numpy() == b"own"
    with pytest.raises(hub.UnsafeModuleError, match="ReadFile: reads files"):
        loaded.prune("path:0", "read:0")


def test_inside_of_loops_and_branches(own, secret):
    """There a session's module is a function, whose files are those of the graph around."""
    module = module_with(own)
    module.body.add("ReadFile", "read", "path")
    give(module, "read:0")
    with tf.Graph().as_default(), v1.Session() as session:
        applied = hub.Module(module.spec(), safe_mode=True)
        read = tf.cond(
            tf.constant(True),
            lambda: applied(1.0, as_dict=True)["read"],
            lambda: tf.constant("not taken"),
        )
        assert session.run(read) == b"own"
