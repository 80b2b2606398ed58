"""Layers that share one module's weights, each with another of its signatures."""

import copy
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from old_code import registry
from old_code import several_signatures as modules

RECORDED = registry.recorded()
VARIANTS = [((), {}), ({"train"}, {"training": True})]

# --- models of several signatures, by the program that trains the same in TF1 ---


@functools.cache
def spec(module_fn):
    variants = VARIANTS if module_fn is modules.normalized_in_one else None
    return hub.create_module_spec(functools.partial(module_fn, hub), variants)


def questions_and_answers():
    questions = hub.ModuleLayer(
        spec(modules.questions_and_answers),
        signature="question_encoder",
        output_key="outputs",
        trainable=True,
        name="questions",
    )
    answers = questions.with_signature("response_encoder", output_key="outputs", name="answers")
    names = ("question", "response", "context")
    question, response, context = (keras.Input((), dtype="string", name=n) for n in names)
    both = [questions(question), answers({"input": response, "context": context})]
    return keras.Model([question, response, context], keras.layers.Dot(1)(both))


def autoencoder():
    # The layer that was made of the other one comes first.
    decode = hub.ModuleLayer(
        spec(modules.autoencoder), signature="decode", trainable=True, name="decode"
    )
    encode = decode.with_signature("encode", name="encode")
    return keras.Sequential([keras.Input((4,)), encode, decode])


def normalized_in_one():
    raw = hub.ModuleLayer(
        spec(modules.normalized_in_one), signature="raw", trainable=True, name="raw"
    )
    normalized = raw.with_signature("normalized", name="normalized")
    x = keras.Input((4,))
    return keras.Model(x, keras.layers.Add()([normalized(x), raw(keras.ops.negative(x))]))


TEXTS = [modules.QUESTIONS, modules.RESPONSES, modules.CONTEXTS]
MODELS = {
    "questions_and_answers_trained_together": (
        questions_and_answers,
        [tf.constant(texts) for texts in TEXTS],
        np.ones([3, 1], np.float32),
    ),
    "an_encoder_and_its_decoder_trained_together": (autoencoder, modules.X, modules.X),
    "signatures_of_which_one_updates_trained_together": (normalized_in_one, modules.X, modules.Y),
}


@pytest.fixture(params=MODELS)
def case(request):
    build, x, y = MODELS[request.param]
    losses, variables = RECORDED[request.param]["value"]
    return build, x, y, losses, variables


def layers_of(model):
    return [layer for layer in model.layers if isinstance(layer, hub.ModuleLayer)]


def compiled(model):
    model.compile(keras.optimizers.SGD(modules.RATE), "mse")
    return model


def losses_of_fit(model, x, y):
    history = model.fit(x, y, batch_size=len(y), epochs=modules.STEPS, verbose=0)
    return history.history["loss"]


def assert_trained(model, variables):
    """The variables are those of the original, and so of each layer."""
    for layer in layers_of(model):
        for name, value in variables.items():
            found = layer.variable_map[name.removeprefix("module/")]
            np.testing.assert_allclose(found, value, rtol=1e-6, atol=1e-6, err_msg=name)


# --- training ---


@pytest.mark.parametrize("settings", [{}, {"run_eagerly": True}])
def test_training_is_that_of_one_module_applied_twice(case, settings):
    build, x, y, losses, variables = case
    model = build()
    model.compile(keras.optimizers.SGD(modules.RATE), "mse", **settings)
    np.testing.assert_allclose(losses_of_fit(model, x, y), losses, rtol=1e-6)
    assert_trained(model, variables)


def test_weights_and_losses_are_listed_once(case):
    build, x, *_ = case
    model = build()
    holder = next(layer for layer in layers_of(model) if layer.weights_of is None)
    model(x)
    assert [id(w) for w in model.weights] == [id(w) for w in holder.weights]
    assert model.count_params() == sum(int(np.prod(w.shape)) for w in holder.weights)
    assert len(model.losses) == len(holder.spec.variant(()).losses)
    # A model with the other layer alone has them, too.
    (other,) = (layer for layer in layers_of(model) if layer.weights_of is not None)
    assert [id(w) for w in other.weights] == [id(w) for w in holder.weights]
    assert len(other.losses) == len(model.losses)


def test_in_a_loop_of_ones_own(case):
    build, x, y, losses, variables = case
    model, optimizer, found = build(), keras.optimizers.SGD(modules.RATE), []
    for _ in range(modules.STEPS):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((y - model(x, training=True)) ** 2) + sum(model.losses)
        found.append(float(loss))
        optimizer.apply_gradients(
            zip(tape.gradient(loss, model.trainable_weights), model.trainable_weights, strict=True)
        )
    np.testing.assert_allclose(found, losses, rtol=1e-6)
    assert_trained(model, variables)


def test_under_a_strategy():
    build, x, y = MODELS["signatures_of_which_one_updates_trained_together"]
    losses, variables = RECORDED["signatures_of_which_one_updates_trained_together"]["value"]
    with tf.distribute.OneDeviceStrategy("/cpu:0").scope():
        model = compiled(build())
    np.testing.assert_allclose(losses_of_fit(model, x, y), losses, rtol=1e-6)
    assert_trained(model, variables)


def test_weights_have_the_path_of_the_layer_that_holds_them(case):
    """In a model as in its copies, whose layers are built in another order."""
    build, *_ = case
    model = compiled(build())
    (holder,) = (layer for layer in layers_of(model) if layer.weights_of is None)
    assert all(f"/{w.path}".endswith(f"/{holder.name}/{w.name}") for w in model.weights)
    for copied in (type(model).from_config(model.get_config()), keras.models.clone_model(model)):
        # Keras builds a Sequential's layers within its name, or before there is one.
        paths, copies = (
            [w.path.removeprefix(f"{model.name}/") for w in m.weights] for m in (model, copied)
        )
        assert copies == paths
    state = model.get_state_tree(value_format="numpy_array")
    compiled(copied).set_state_tree(tf.nest.map_structure(lambda value: 2 * value, state))
    for twice, once in zip(copied.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(twice, 2 * once)


def test_layers_freeze_together():
    model = autoencoder()
    decode, encode = layers_of(model)[::-1]
    before = [w.numpy() for w in model.weights]
    for frozen, thawed in ((encode, decode), (decode, encode)):
        frozen.trainable = False
        assert not encode.trainable
        assert not decode.trainable
        assert not model.trainable_weights
        assert not model.losses
        losses_of_fit(compiled(model), modules.X, modules.X)
        for weight, value in zip(model.weights, before, strict=True):
            np.testing.assert_array_equal(weight, value)
        thawed.trainable = True
        assert encode.trainable
        assert decode.trainable
        assert len(model.trainable_weights) == 2


# --- what Keras makes of such models ---


def saved_and_loaded(model, tmp_path):
    model.save(tmp_path / "model.keras")
    return keras.models.load_model(tmp_path / "model.keras")


def from_config(model, tmp_path):
    made = type(model).from_config(model.get_config())
    made.set_weights(model.get_weights())
    return made


def cloned(model, tmp_path):
    made = keras.models.clone_model(model)
    made.set_weights(model.get_weights())
    return made


def deepcopied(model, tmp_path):
    return copy.deepcopy(model)


def with_loaded_weights(model, tmp_path):
    model.save_weights(tmp_path / "model.weights.h5")
    made = keras.models.clone_model(model)
    made.load_weights(tmp_path / "model.weights.h5")
    return made


@pytest.mark.parametrize(
    "way", [saved_and_loaded, from_config, cloned, deepcopied, with_loaded_weights]
)
def test_copies_of_a_model_share_their_weights(case, way, tmp_path):
    build, x, y, losses, variables = case
    model = compiled(build())
    first = model.fit(x, y, batch_size=len(y), verbose=0).history["loss"]
    copied = way(model, tmp_path)
    assert not {id(w) for w in model.weights} & {id(w) for w in copied.weights}
    assert len(copied.weights) == len(model.weights)
    np.testing.assert_array_equal(copied(x), model(x))
    rest = compiled(copied).fit(x, y, batch_size=len(y), epochs=modules.STEPS - 1, verbose=0)
    np.testing.assert_allclose(first + rest.history["loss"], losses, rtol=1e-6)
    assert_trained(copied, variables)


def test_each_clone_shares_its_own_weights():
    model = autoencoder()
    (first, second) = (keras.models.clone_model(model) for _ in range(2))
    alone = keras.models.clone_model(keras.Sequential([model.layers[0]]))
    alone.build((None, 4))
    third = keras.models.clone_model(model)
    assert len({id(w) for m in (model, first, second, third, alone) for w in m.weights}) == 10
    for each in (first, second, third):
        encode, decode = layers_of(each)
        assert encode.weights_of is decode
        assert len(each.weights) == 2


def test_layers_of_nested_models_share_in_copies(tmp_path):
    encode, decode = layers_of(autoencoder())
    towers = [keras.Sequential([each], name=each.name) for each in (encode, decode)]
    x = keras.Input((4,))
    model = keras.Model(x, towers[1](towers[0](x)))
    for copied in (way(model, tmp_path) for way in (saved_and_loaded, cloned, from_config)):
        assert len(copied.weights) == 2
        np.testing.assert_array_equal(copied(modules.X), model(modules.X))


def test_layers_made_separately_stay_separate(tmp_path):
    """Even of one handle."""
    made = [hub.ModuleLayer(spec(modules.autoencoder), signature="encode") for _ in range(2)]
    x = keras.Input((4,))
    model = keras.Model(x, [each(x) for each in made])
    for each in (model, saved_and_loaded(model, tmp_path), keras.models.clone_model(model)):
        assert len(each.weights) == 4


def test_export(case, tmp_path):
    build, x, y, *_ = case
    model = compiled(build())
    losses_of_fit(model, x, y)
    for number, layer in enumerate(layers_of(model)):
        layer.export_module(tmp_path / f"module_{number}")
        again = hub.ModuleLayer(
            str(tmp_path / f"module_{number}"),
            **{key: layer.get_config()[key] for key in ("signature", "output_key")},
        )
        again.build()
        for name, variable in layer.variable_map.items():
            np.testing.assert_array_equal(again.variable_map[name], variable)
    model.export(tmp_path / "exported", verbose=False)
    loaded = hub.load(tmp_path / "exported")
    inputs = (
        {i.name: value for i, value in zip(model.inputs, x, strict=True)}
        if isinstance(x, list)
        else x
    )
    np.testing.assert_allclose(loaded(inputs), model(x), rtol=1e-6)


def test_the_exporter_exports_a_module_once(tmp_path):
    model = autoencoder()
    encode, _ = layers_of(model)
    exporter = hub.LatestModuleExporter(tmp_path)
    exporter.set_model(model)
    assert list(exporter.export()) == ["decode"]
    hub.register_module_for_export(encode, "coder")
    assert list(exporter.export()) == ["coder"]


def test_in_stateless_form():
    model = autoencoder()
    trained, others = model.trainable_variables, model.non_trainable_variables
    values = [2 * variable.numpy() for variable in trained]
    found, _, losses = model.stateless_call(values, others, modules.X, return_losses=True)
    for variable, value in zip(trained, values, strict=True):
        variable.assign(value)
    np.testing.assert_allclose(found, model(modules.X), rtol=1e-6)
    np.testing.assert_allclose(losses, model.losses, rtol=1e-6)


def test_mixed_precision():
    decode = hub.ModuleLayer(spec(modules.autoencoder), signature="decode", dtype="mixed_float16")
    encode = decode.with_signature("encode")
    full = decode.with_signature("encode", dtype="float32")
    assert encode(modules.X).dtype == "float16"
    assert full(modules.X).dtype == "float32"
    np.testing.assert_allclose(encode(modules.X), full(modules.X), atol=1e-3)
    assert {w.dtype for w in encode.weights} == {"float32"}


# --- TF2 SavedModels, checkpoints, errors ---


@pytest.fixture
def saved_model(tmp_path):
    """Multiplies by a variable; another signature divides by it."""
    spec = tf.TensorSpec([None, 2], tf.float32)
    model = tf.Module()
    model.scale = tf.Variable([3.0, 5.0])
    model.__call__ = tf.function(lambda x: x * model.scale, input_signature=[spec])
    divide = tf.function(lambda y: {"x": y / model.scale}, input_signature=[spec])
    tf.saved_model.save(model, tmp_path / "saved_model", signatures={"divide": divide})
    return str(tmp_path / "saved_model")


def test_of_a_saved_model(saved_model, tmp_path):
    multiply = hub.ModuleLayer(saved_model, trainable=True)
    divide = multiply.with_signature("divide")
    x = keras.Input((2,))
    model = keras.Model(x, [multiply(x), divide(multiply(x))])
    values = np.float32([[1, 2]])
    for each in (model, saved_and_loaded(model, tmp_path), keras.models.clone_model(model)):
        (scale,) = each.weights
        for factor in (1, 2):
            scale.assign(scale * factor)
            multiplied, same = each(values)
            np.testing.assert_array_equal(multiplied, values * [3 * factor, 5 * factor])
            np.testing.assert_allclose(same, values, rtol=1e-6)
        scale.assign(scale / 2)


def test_a_checkpoint_has_them_once(tmp_path):
    model = autoencoder()
    path = tf.train.Checkpoint(model=model).write(str(tmp_path / "checkpoint"))
    names = [name for name, _ in tf.train.list_variables(path) if "kernel" in name]
    assert len(names) == 1
    other = autoencoder()
    other.set_weights([w * 0 for w in other.get_weights()])
    tf.train.Checkpoint(model=other).read(path).assert_consumed()
    np.testing.assert_array_equal(other(modules.X), model(modules.X))


def test_of_a_layer_that_shares_already():
    encode, decode = layers_of(autoencoder())
    again = encode.with_signature("decode")
    assert again.weights_of is decode
    np.testing.assert_array_equal(again(modules.Y), decode(modules.Y))


def test_an_inner_tensor(tmp_path):
    """Even where the graph is not here yet, in a model that is being loaded."""
    made = spec(modules.autoencoder)
    encode = hub.ModuleLayer(made, signature="encode", name="encode")
    (tanh,) = encode.spec.get_output_info_dict("encode")["default"].tensor_names
    before = encode.spec.variant(()).nodes[tanh.partition(":")[0]].input[0]
    inner = encode.with_signature("encode", output_key=f"{before}:0")
    x = keras.Input((4,))
    model = keras.Model(x, [encode(x), inner(x)])
    for each in (model, saved_and_loaded(model, tmp_path), keras.models.clone_model(model)):
        assert len(each.weights) == 2
        outputs, linear = each(modules.X)
        np.testing.assert_allclose(np.tanh(linear), outputs, rtol=1e-6)


def test_there_is_no_such_signature():
    _, decode = layers_of(autoencoder())
    with pytest.raises(hub.SignatureError, match=r"(?s)'ranks'.*'decode', 'encode'"):
        decode.with_signature("ranks")
