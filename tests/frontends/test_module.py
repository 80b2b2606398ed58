"""hub.Module in TF1 graphs: state, applications, training, export."""

import gc
import shutil

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.golden import Golden, golden_names

v1 = tf.compat.v1
KEYS = v1.GraphKeys


@pytest.fixture
def session():
    """A graph with a session, the defaults of the test."""
    with tf.Graph().as_default(), v1.Session() as session:
        yield session


def initialize(session):
    session.run([v1.global_variables_initializer(), v1.tables_initializer()])


def names(collection):
    return [getattr(item, "name", item) for item in v1.get_collection(collection)]


def as_tensors(inputs):
    return tf.nest.map_structure(tf.constant, inputs)


@pytest.mark.parametrize("name", golden_names("apply"))
def test_apply(name, session):
    golden = Golden(name)
    for call in golden.calls():
        entry = golden.oracle["apply"][call]
        module = hub.Module(golden.path, tags=entry["tags"])
        found = module(as_tensors(golden.inputs(call)), entry["signature"], as_dict=True)
        initialize(session)
        for key, value in session.run(found).items():
            expected = golden.outputs(call)[key]
            if expected.dtype.kind == "f":
                np.testing.assert_allclose(value, expected, rtol=0, atol=1e-5)
            else:
                np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize("name", golden_names("tune"))
def test_tune(name, session):
    """As the oracle was made: gradient descent in a session."""
    golden = Golden(name)
    tune = golden.tune
    module = hub.Module(golden.path, trainable=True, tags=tune["tags"])
    inputs, targets = next(golden.batches())
    feeds = tf.nest.map_structure(
        lambda array: v1.placeholder(tf.as_dtype(tf.constant(array).dtype), array.shape), inputs
    )
    target = v1.placeholder(tf.float32, targets.shape)
    losses = v1.get_collection(KEYS.REGULARIZATION_LOSSES)
    output = module(feeds)
    regularization = tf.add_n(losses) if losses else tf.constant(0.0)
    loss = tf.reduce_mean(tf.square(output - target)) + regularization
    with tf.control_dependencies(v1.get_collection(KEYS.UPDATE_OPS)):
        step = v1.train.GradientDescentOptimizer(tune["lr"]).minimize(loss)
    initialize(session)
    assert len(losses) == tune["regularization_losses"]
    for number, (inputs, targets) in enumerate(golden.batches()):
        feed = dict(zip(tf.nest.flatten(feeds), tf.nest.flatten(inputs), strict=True))
        values = session.run([loss, regularization, step], {**feed, target: targets})
        np.testing.assert_allclose(values[0], golden.arrays["tune.losses"][number], atol=2e-5)
        np.testing.assert_allclose(values[1], golden.arrays["tune.reg"][number], atol=2e-5)
    for variable, expected in golden.tuned_variables().items():
        found = module.variable_map[variable]
        parts = session.run(found if isinstance(found, list) else [found])
        joined = np.concatenate(parts) if len(parts) > 1 else parts[0]
        np.testing.assert_allclose(joined, expected, rtol=0, atol=1e-5)


class TestState:
    """Names and collections are those that the original library gives."""

    def test_frozen(self, session):
        hub.Module(Golden("mlp_bn").path, tags={"train"})
        assert names(KEYS.GLOBAL_VARIABLES)[:2] == [
            "module/layer1/kernel:0",
            "module/layer1/bias:0",
        ]
        assert len(names(KEYS.GLOBAL_VARIABLES)) == 8
        for key in (KEYS.TRAINABLE_VARIABLES, KEYS.REGULARIZATION_LOSSES, KEYS.MODEL_VARIABLES):
            assert names(key) == []

    def test_trainable(self, session):
        module = hub.Module(Golden("mlp_bn").path, trainable=True, tags={"train"})
        x = v1.placeholder(tf.float32, [None, 51])
        module(x)
        module(x)
        assert names(KEYS.TRAINABLE_VARIABLES) == [
            f"module/{name}:0"
            for name in ("layer1/kernel", "layer1/bias", "bn/gamma", "bn/beta",
                         "layer2/kernel", "layer2/bias")
        ]  # fmt: skip
        assert names(KEYS.REGULARIZATION_LOSSES) == [
            "module/layer1/kernel/Regularizer/mul:0",
            "module/layer2/kernel/Regularizer/mul:0",
        ]
        assert names(KEYS.UPDATE_OPS) == [
            f"module_apply_default{number}/bn/AssignMovingAvg{op}/AssignSubVariableOp"
            for number in ("", "_1")
            for op in ("", "_1")
        ]

    def test_tables_and_assets(self, session):
        module = hub.Module(Golden("text_embed").path)
        module(["a"])
        assert len(names(KEYS.TABLE_INITIALIZERS)) == 1
        assert names(KEYS.ASSET_FILEPATHS) == [
            "module/asset_path:0",
            "module_apply_default/asset_path:0",
        ]
        assert [v.name for v in module.variables] == [
            f"module/emb/embeddings/part_{i}:0" for i in range(3)
        ]
        assert [v.name for v in module.variable_map["emb/embeddings"]] == [
            v.name for v in module.variables
        ]

    def test_scopes_are_unused_ones(self, scale_path, session):
        first = hub.Module(scale_path)
        second = hub.Module(scale_path)
        with v1.variable_scope("outer"):
            third = hub.Module(scale_path, name="x")
            applied = first([[1.0, 1.0]])
        found = [m.variables[0].name for m in (first, second, third)]
        assert found == ["module/scale:0", "module_1/scale:0", "outer/x/scale:0"]
        assert applied.name.startswith("outer/module_apply_default/")
        with v1.variable_scope(None, default_name="module"):
            assert v1.get_variable("v", []).name == "module_2/v:0"

    def test_a_saver_finds_slices_in_one_entry(self, session, tmp_path):
        hub.Module(Golden("text_embed").path)
        initialize(session)
        path = v1.train.Saver().save(session, str(tmp_path / "ckpt"))
        shapes = tf.train.load_checkpoint(path).get_variable_to_shape_map()
        assert shapes == {"module/emb/embeddings": [56, 16]}

    def test_loops_in_several_applications(self, session):
        """Each application's gradient makes functions of its own."""
        golden = Golden("rnn")
        module = hub.Module(golden.path, trainable=True)
        inputs = as_tensors(golden.inputs(0))
        losses = [tf.reduce_sum(module(inputs)), tf.reduce_sum(module(inputs) ** 2)]
        gradients = [v1.gradients(loss, module.variables[0])[0] for loss in losses]
        both = v1.gradients(losses, module.variables[0])[0]
        initialize(session)
        one, other, total = session.run([*gradients, both])
        np.testing.assert_allclose(one + other, total, rtol=1e-4, atol=1e-5)

    def test_scope_in_which_a_variable_is_named_in_full(self, scale_path, session):
        v1.get_variable("module/scale", initializer=[100.0, 100.0])
        with pytest.raises(RuntimeError, match="its name scope 'module/' is in use") as caught:
            hub.Module(scale_path)
        assert "'module/scale'" in caught.value.found
        assert "or pass another name=..." in caught.value.advice

    def test_asset_read_in_a_loop_first(self, tmp_path):
        (tmp_path / "text.txt").write_text("a")

        def module_fn():
            x = v1.placeholder(tf.string, [])
            path = tf.constant(str(tmp_path / "text.txt"))
            v1.add_to_collection(KEYS.ASSET_FILEPATHS, path)
            hub.add_signature(inputs=x, outputs=tf.strings.join([tf.io.read_file(path), x]))

        spec = hub.create_module_spec(module_fn)
        with tf.Graph().as_default(), v1.Session() as session:
            module = hub.Module(spec)
            loop = v1.while_loop(lambda i, _: i < 2, lambda i, a: (i + 1, module(a)), [0, "b"])[1]
            assert session.run([loop, module("c")]) == [b"aab", b"ac"]

    def test_shared_by_all_applications(self, scale_path, session):
        module = hub.Module(scale_path)
        one, other = module([[1.0, 1.0]]), module([[2.0, 2.0]])
        assign = module.variables[0].assign([5.0, 7.0])
        initialize(session)
        session.run(assign)
        assert session.run(one).tolist() == [[5, 7]]
        assert session.run(other).tolist() == [[10, 14]]

    def test_path_with_wildcards(self, scale_path, session, tmp_path):
        """The graph restores from there, also when the Module is gone."""
        path = tmp_path / "a[b]*?"
        shutil.copytree(scale_path, path)
        module = hub.Module(str(path))
        (variable,) = module.variables
        del module
        gc.collect()
        initialize(session)
        published = tf.train.load_checkpoint(f"{scale_path}/variables/variables")
        expected = published.get_tensor(variable.op.name.removeprefix("module/"))
        np.testing.assert_array_equal(session.run(variable), expected)

    def test_initial_values_of_a_new_spec(self, session):
        def module_fn():
            x = v1.placeholder(tf.float32, [None, 3])
            w = v1.get_variable("w", [3, 2], initializer=v1.glorot_uniform_initializer(seed=1))
            hub.add_signature(inputs=x, outputs=tf.matmul(x, w))

        spec = hub.create_module_spec(module_fn)
        output = hub.Module(spec)(np.eye(3, dtype=np.float32))
        initialize(session)
        found = session.run(output)
        assert np.abs(found).max() > 0
        np.testing.assert_array_equal(found, session.run(output))

    def test_order_of_variables(self, session):
        """As recorded from the original: by name, slices by number, not by letters."""

        def module_fn():
            x = v1.placeholder(tf.float32, [])
            for name in ("w1", "w-1", "w", "w/b"):
                v1.get_variable(name, initializer=1.0)
            sliced = v1.get_variable("s", [12], partitioner=tf.compat.v1.fixed_size_partitioner(12))
            hub.add_signature(inputs=x, outputs=x * tf.reduce_sum(sliced))

        module = hub.Module(hub.create_module_spec(module_fn))
        assert [variable.op.name.removeprefix("module/") for variable in module.variables] == [
            *(f"s/part_{number}" for number in range(12)), "w", "w-1", "w/b", "w1",
        ]  # fmt: skip


class TestControlFlow:
    """A module applied inside loops, branches and other modules."""

    @pytest.fixture(params=["v1", "v2"], autouse=True)
    def control_flow(self, request):
        switch = v1.disable_control_flow_v2 if request.param == "v1" else v1.enable_control_flow_v2
        switch()
        yield
        v1.enable_control_flow_v2()

    def test_while_and_its_gradient(self, scale_path, session):
        module = hub.Module(scale_path, trainable=True)
        x = tf.constant([[1.0, 2.0]])
        _, y = v1.while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, module(y)), [0, x])
        (gradient,) = v1.gradients(y, module.variables)
        initialize(session)
        assert session.run(y).tolist() == [[27, 54]]
        assert session.run(gradient).tolist() == [27, 54]

    def test_cond_and_its_gradient(self, scale_path, session):
        module = hub.Module(scale_path, trainable=True)
        x = v1.placeholder(tf.float32, [1, 2])
        y = v1.cond(tf.reduce_sum(x) > 0, lambda: module(x), lambda: x)
        (gradient,) = v1.gradients(y, module.variables)
        initialize(session)
        assert session.run(y, {x: [[1, 1]]}).tolist() == [[3, 3]]
        assert session.run(y, {x: [[-1, -1]]}).tolist() == [[-1, -1]]
        assert session.run(gradient, {x: [[1, 1]]}).tolist() == [1, 1]

    def test_made_inside_a_branch(self, scale_path, session):
        y = v1.cond(
            tf.constant(True),
            lambda: hub.Module(scale_path)([[1.0, 1.0]]),
            lambda: tf.zeros([1, 2]),
        )
        initialize(session)
        assert session.run(y).tolist() == [[3, 3]]


class TestNested:
    def test_module_of_modules(self, publish, scale_path):
        text = Golden("text_embed")

        def module_fn():
            words = v1.placeholder(tf.string, [None])
            embedded = hub.Module(text.path, trainable=True)(words)
            scaled = hub.Module(scale_path)(embedded[:, :2])
            hub.add_signature(inputs=words, outputs=scaled)

        path = publish(module_fn)
        expected = 3 * text.outputs(0)["default"][:, :2]
        layer = hub.ModuleLayer(path, trainable=True)
        np.testing.assert_allclose(layer(text.inputs(0)), expected, atol=1e-5)
        assert {v.name for v in layer.trainable_weights} == {
            f"module.emb.embeddings.part_{i}" for i in range(3)
        }
        assert "module_1/scale" in layer.variable_map
        with tf.Graph().as_default(), v1.Session() as session:
            output = hub.Module(path)(tf.constant(text.inputs(0)))
            initialize(session)
            np.testing.assert_allclose(session.run(output), expected, atol=1e-5)


class TestExport:
    def test_trained_values(self, scale_path, session, tmp_path):
        module = hub.Module(scale_path, trainable=True)
        step = v1.train.GradientDescentOptimizer(0.5).minimize(tf.reduce_sum(module([[1.0, 2.0]])))
        initialize(session)
        session.run(step)
        module.export(tmp_path / "m", session)
        with pytest.raises(hub.ExportError, match="the target exists"):
            module.export(tmp_path / "m", session)
        with hub.eval_function_for_module(tmp_path / "m") as evaluate:
            assert evaluate([[1, 1]]).tolist() == [[2.5, 2.0]]

    def test_without_variables_and_not_applied(self, tmp_path):
        def double():
            x = v1.placeholder(tf.float32, [None])
            hub.add_signature(inputs=x, outputs=2.0 * x)

        spec = hub.create_module_spec(double)
        with tf.Graph().as_default(), v1.Session() as session:
            hub.Module(spec).export(tmp_path / "m", session)
        with hub.eval_function_for_module(tmp_path / "m") as evaluate:
            assert evaluate([1.5]).tolist() == [3.0]

    def test_partitions_variants_and_assets(self, session, tmp_path):
        golden = Golden("text_embed")
        module = hub.Module(golden.path)
        initialize(session)
        module.export(tmp_path / "m", session)
        with hub.eval_function_for_module(tmp_path / "m") as evaluate:
            found = evaluate(golden.inputs(0))
        np.testing.assert_array_equal(found, golden.outputs(0)["default"])


class TestFacts:
    def test_of_its_variant(self, session):
        module = hub.Module(Golden("variants").path, tags={"train", "bs4"})
        assert module.get_signature_names() == ["default"]
        assert module.get_input_info_dict()["default"].get_shape().as_list() == [4, 5]
        assert module.get_output_info_dict()["default"].dtype == tf.float32
        assert module.get_attached_message("none", object) is None
        assert "module/" in repr(module)


class TestOldSurface:
    def test_names_that_public_code_reads(self, scale_path, session):
        module = hub.Module(Golden("mlp_bn").path, trainable=True, tags={"train"}, name="net")
        assert (module._name, module._trainable, module._tags) == ("net", True, {"train"})
        assert module._graph is session.graph
        assert module._impl.variable_map == module.variable_map
        assert module._spec.get_tags() == module.spec.get_tags()

    def test_sizes_that_are_objects(self, session):
        """As they are after disable_v2_behavior(), with which most old scripts begin."""
        v1.disable_v2_tensorshape()
        try:
            infos = hub.load_module_spec(Golden("text_embed").path).get_output_info_dict()
            hub.check_common_signature(Golden("text_embed").path, "text-embedding")
            hub.text_embedding_column("text", Golden("text_embed").path)
            assert str(infos["default"]) == "float32 [?, 16]"
        finally:
            v1.enable_v2_tensorshape()
