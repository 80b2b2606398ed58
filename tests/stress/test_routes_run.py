"""The routes as programs use them: nothing is written on any, whatever is asked for."""

import keras
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.handmade import FLOAT, KEYS, Func, Given, Handmade, call_attribute
from helpers.routes import IN_SESSIONS, ROUTES
from hub_keras_bridge.plans.audit import audit_module

v1 = tf.compat.v1


@pytest.fixture
def target(tmp_path):
    target = tmp_path / "written"
    yield target
    assert not target.exists()


def writes(target):
    """Puts in what writes a file."""

    def put(body):
        path, content = body.const("target", str(target)), body.const("content", "x")
        return body.add("WriteFile", "reach", path, content)

    return put


def call(spec, **more):
    return hub.ModuleLayer(spec, as_dict=True, **more)(1.0)


def train(spec):
    layer = hub.ModuleLayer(spec, as_dict=True, trainable=True)
    x = tf.constant(1.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)["default"] + sum(layer.losses)
    return tape.gradient(y, x)


def symbolic(spec):
    return hub.ModuleLayer(spec, as_dict=True)(keras.Input(batch_shape=()))


def compiled(spec):
    return hub.ModuleLayer(spec, as_dict=True).supports_jit


def load(spec):
    loaded = hub.load(spec)
    loaded.signatures["default"](x=tf.constant(1.0))
    return loaded(1.0)


def prune(spec):
    loaded = hub.load(spec, signature="default")
    return loaded.prune("x:0", "y:0")(tf.constant(1.0))


def in_function(spec):
    def function(x):
        return hub.Module(spec, safe_mode=True, trainable=True)(x)

    return v1.wrap_function(function, [tf.TensorSpec([], tf.float32)])(tf.constant(1.0))


def session(spec):
    with tf.Graph().as_default(), v1.Session() as session:
        y = hub.Module(spec, safe_mode=True, trainable=True)(1.0)
        return _run(session, y)


def load_in_session(spec):
    with tf.Graph().as_default(), v1.Session() as session:
        y = hub.load(spec).signatures["default"](x=tf.constant(1.0))
        return _run(session, y)


def _run(session, y):
    session.run([v1.global_variables_initializer(), v1.tables_initializer()])
    session.run(v1.get_collection(KEYS.UPDATE_OPS))
    session.run(v1.get_collection(KEYS.REGULARIZATION_LOSSES))
    return session.run(y)


IN_FUNCTIONS = [call, train, symbolic, compiled, load, prune, in_function]
USES = [*IN_FUNCTIONS, session, load_in_session]


def refused(use, spec, node="reach"):
    with pytest.raises(hub.UnsafeModuleError) as caught:
        use(spec)
    told = str(caught.value)
    assert f"{node} " in told
    assert "(WriteFile: writes files)" in told


# Calls that do not train leave out what training runs.
_OF_TRAINING = {"update_op", "standing_loss", "fed_loss"}


@pytest.mark.parametrize("route", ROUTES)
def test_nothing_is_written(route, target):
    module = Handmade()
    ROUTES[route](module, writes(target))
    spec = module.spec()
    assert not audit_module(spec).is_safe
    for use in USES:
        if route in _OF_TRAINING and use in (prune, load_in_session, in_function):
            _refused_or_not_run(use, spec)
        elif use in IN_FUNCTIONS and route == "what_a_variable_waits_for":
            _refused_or_not_run(use, spec)  # With no checkpoint, first values are computed.
        elif use in IN_FUNCTIONS and route in IN_SESSIONS:
            use(spec)  # without it
        else:
            refused(use, spec)
        assert not target.exists(), use


def _refused_or_not_run(use, spec):
    try:
        use(spec)
    except hub.UnsafeModuleError as error:
        assert "WriteFile" in str(error)  # noqa: PT017


# -- What depends on the choice of a signature or a variant


def test_a_signature_that_is_not_used(target):
    module = Handmade()
    module.body.add("Identity", "z", "x", f"^{writes(target)(module.body)}", T=FLOAT)
    module.signature("other", {"x": ("x:0", FLOAT)}, {"default": ("z:0", FLOAT)})
    spec = module.spec()
    (finding,) = audit_module(spec).findings
    assert finding.needed_by == ("other",)
    for use in USES:
        use(spec)
    refused(lambda spec: call(spec, signature="other"), spec)
    refused(lambda spec: hub.load(spec).signatures["other"], spec)
    with tf.Graph().as_default():
        applied = hub.Module(spec, safe_mode=True)
        refused(lambda _: applied(1.0, signature="other"), spec)
        # What stands for it in the graph is no such op.
        ops = {op.type for op in tf.compat.v1.get_default_graph().get_operations()}
        assert "WriteFile" not in ops


def test_a_variant_for_training(target):
    training = Handmade(tags=["train"])
    training.after(writes(target)(training.body))
    spec = Handmade().spec(training)
    (finding,) = audit_module(spec).findings
    assert (finding.tags, finding.needed_by) == (("train",), ("default",))
    refused(train, spec)
    assert call(spec)["default"].numpy() == 1.0
    assert call(spec, training_tags=())["default"].numpy() == 1.0
    with tf.Graph().as_default():
        refused(lambda spec: hub.Module(spec, tags={"train"}, safe_mode=True)(1.0), spec)


def test_a_variant_for_training_is_refused_before_it_may_run(target):
    """That is, when a layer is made trainable, with what making one says that is trainable."""
    training = Handmade(tags=["train"])
    training.after(writes(target)(training.body))
    spec = Handmade().spec(training)
    with pytest.raises(hub.UnsafeModuleError) as at_once:
        hub.ModuleLayer(spec, trainable=True)

    def refuses(layer):
        with pytest.raises(hub.UnsafeModuleError) as caught:
            layer.trainable = True
        assert str(caught.value) == str(at_once.value)

    layer = hub.ModuleLayer(spec)
    x = tf.constant(1.0)
    assert layer(x, training=True).numpy() == 1.0
    again = hub.ModuleLayer.from_config(layer.get_config())
    model = keras.Sequential([layer])
    model.trainable = False
    for each in layer, again, layer.with_signature(), model:
        refuses(each)
    assert not layer.trainable
    assert layer(x, training=True).numpy() == 1.0
    hub.ModuleLayer(spec, training_tags=()).trainable = True
    hub.ModuleLayer(spec, safe_mode=False).trainable = True


def test_signatures_of_a_variant_for_training(target):
    """Each is looked at, though the layer that holds the weights runs another one."""
    training = Handmade(tags=["train"])
    training.body.add("Identity", "z", "x", f"^{writes(target)(training.body)}", T=FLOAT)
    inference = Handmade()
    inference.body.add("Identity", "z", "x", T=FLOAT)
    for module in inference, training:
        module.signature("other", {"x": ("x:0", FLOAT)}, {"default": ("z:0", FLOAT)})
    layer = hub.ModuleLayer(inference.spec(training))
    other = layer.with_signature("other")
    x = tf.constant(1.0)
    assert other(x).numpy() == layer(x).numpy() == 1.0
    layer.trainable = True
    assert layer(x, training=True).numpy() == 1.0
    for training in True, False:
        with pytest.raises(hub.UnsafeModuleError, match="WriteFile"):
            other(x, training=training)


# -- First values, of modules without a checkpoint


@pytest.mark.parametrize(
    "key", [KEYS.GLOBAL_VARIABLES, KEYS.TRAINABLE_VARIABLES, "model_variables"]
)
@pytest.mark.parametrize("inside", [False, True], ids=["graph", "function"])
def test_initializers_of_variables(target, key, inside):
    module = Handmade()
    if inside:
        module.function("f", writes(target))
        some = module.body.source(FLOAT.as_datatype_enum)
        types = {"Tin": [FLOAT], "Tout": [FLOAT]}
        name = module.body.add("StatefulPartitionedCall", "fills", some, f=Func("f"), **types)
    else:
        name = writes(target)(module.body)
    module.after(module.variable("v", key, after=[name]))
    spec = module.spec()
    assert audit_module(spec).refused_ops == {"WriteFile"}
    for use in (call, train, load, session, load_in_session, in_function):
        refused(use, spec)


# -- Attributes


def polymorphic(module, put, **attributes):
    """A function with attributes that its caller says, and its call."""
    module.function("f", put)
    module.call("f", f=call_attribute("f", **attributes))


def in_attribute(op, **attributes):
    def put(body):
        name = body.node_of(op)
        (node,) = (each for each in body.nodes if each.name == name)
        for key, value in attributes.items():
            node.attr[key].placeholder = value
        return name

    return put


@pytest.mark.parametrize(
    ("op", "attribute", "value"),
    [
        ("FixedUnigramCandidateSampler", "vocab_file", "/etc/passwd"),
        ("PrintV2", "output_stream", "file:///nowhere"),
        ("DecodeProtoV2", "descriptor_source", "/etc/passwd"),
        ("EncodeProto", "descriptor_source", "/etc/passwd"),
        ("ParseTensor", "out_type", tf.resource),
        ("Const", "dtype", tf.resource),
        ("PartitionedCall", "f", Func("elsewhere")),
        ("If", "then_branch", Func("elsewhere")),
        ("While", "body", Func("elsewhere")),
        ("MapDefun", "f", Func("elsewhere")),
    ],
)
def test_attributes_that_the_caller_says(op, attribute, value):
    module = Handmade()
    polymorphic(module, in_attribute(op, **{attribute: Given("said")}), said=value)
    spec = module.spec()
    assert op in audit_module(spec).refused_ops
    with pytest.raises(hub.UnsafeModuleError, match=rf"{op}: "):
        hub.ModuleLayer(spec)
    with tf.Graph().as_default(), pytest.raises(hub.UnsafeModuleError, match=rf"{op}: "):
        hub.Module(spec, safe_mode=True)(1.0)


@pytest.mark.parametrize("op", ["PyFunc", "EagerPyFunc", "ReadFile"])
def test_gradients_by_the_names_of_ops(op):
    """Differentiating the node would make what the gradient of that op makes."""
    module = Handmade()
    module.after(module.body.add("Identity", "asks", "x", T=FLOAT, _gradient_op_type=op))
    spec = module.spec()
    assert audit_module(spec).refused_ops == {op}
    for use in USES:
        with pytest.raises(hub.UnsafeModuleError, match=rf"asks \({op}: "):
            use(spec)


def test_a_function_named_as_an_op(target):
    module = Handmade()
    module.function("Relu", writes(target))
    module.call("Relu", "Relu")
    spec = module.spec()
    assert {"Relu", "WriteFile"} <= audit_module(spec).refused_ops
    for use in USES:
        refused(use, spec)


def test_a_function_named_as_an_op_that_a_rewrite_brings_in(target):
    """Where a reference variable is read, a ReadVariableOp will be."""
    module = Handmade()
    module.function("ReadVariableOp", writes(target))
    module.after(module.reference_variable("v", KEYS.GLOBAL_VARIABLES))
    spec = module.spec()
    assert {"ReadVariableOp", "WriteFile"} <= audit_module(spec).refused_ops
    for use in (call, train, load):
        refused(use, spec)


def test_functions_that_nothing_reaches(target):
    """They are in no graph that TensorFlow gets."""
    module = Handmade()
    module.function("unreached", writes(target))
    spec = module.spec()
    assert audit_module(spec).is_safe
    for use in USES:
        use(spec)
    with tf.Graph().as_default() as graph:
        hub.Module(spec, safe_mode=True)(1.0)
        hub.load(spec)
    for each in (graph, hub.load(spec).graph):
        assert not each.as_graph_def().library.function
