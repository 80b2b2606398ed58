"""Publishing by a module_fn: what create_module_spec takes and makes."""

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import wrappers_pb2

import hub_keras_bridge as hub
from hub_keras_bridge.frontends.tf1.module import Module

v1 = tf.compat.v1


def identity_fn():
    x = v1.placeholder(tf.float32, [None])
    hub.add_signature(inputs=x, outputs=x)


class TestRefused:
    def test_strings_for_collections(self):
        with pytest.raises(hub.TagsError, match=r"pass \{'train'\}"):
            hub.create_module_spec(identity_fn, [("train", {})])
        with pytest.raises(hub.PublishError, match=r"pass \['losses'\]"):
            hub.create_module_spec(identity_fn, drop_collections="losses")
        assert hub.create_module_spec(identity_fn, [(None, {})]).get_tags() == [frozenset()]

    @pytest.mark.parametrize("tags", [3, 1.5, object()])
    def test_tags_that_are_no_collection(self, tags):
        with pytest.raises(hub.TagsError, match="are a set of strings"):
            hub.create_module_spec(identity_fn, [(tags, {})])

    def test_message_that_is_none(self):
        with tf.Graph().as_default(), pytest.raises(hub.PublishError, match="Found: str: 'text'"):
            hub.attach_message("key", "text")

    def test_outside_a_module_fn(self):
        with pytest.raises(RuntimeError, match="Cannot call add_signature") as caught:
            hub.add_signature(inputs=tf.constant(1.0), outputs=tf.constant(1.0))
        assert isinstance(caught.value, hub.PublishError)
        with pytest.raises(hub.PublishError, match="Cannot call attach_message"):
            hub.attach_message("key", wrappers_pb2.Int64Value(value=1))

    def test_tags_twice(self):
        with pytest.raises(hub.PublishError) as caught:
            hub.create_module_spec(identity_fn, [({"a"}, {}), (["a"], {})])
        assert "two variants have the same tags" in str(caught.value)
        assert "Found: {'a'} twice" in str(caught.value)

    @pytest.mark.parametrize("key", [3, "", "1a", "a-b", "a.b", "ä", "a\n"])
    def test_malformed_attachment_key(self, key):
        with tf.Graph().as_default(), pytest.raises(hub.PublishError, match="under the key"):
            hub.attach_message(key, wrappers_pb2.Int64Value(value=1))


def test_variables_are_resources_by_default(scale_spec):
    ops = {node.op for node in scale_spec.variant(None).published.graph_def.node}
    assert "VarHandleOp" in ops
    assert "VariableV2" not in ops


def test_random_initializers_follow_their_seed():
    def module_fn():
        x = v1.placeholder(tf.float32, [None, 3])
        w = v1.get_variable("w", [3, 2], initializer=v1.glorot_uniform_initializer(seed=1))
        hub.add_signature(inputs=x, outputs=x @ w)

    one, other = (hub.ModuleLayer(hub.create_module_spec(module_fn)) for _ in range(2))
    found = one(np.eye(3)).numpy()
    np.testing.assert_array_equal(found, other(np.eye(3)))
    assert 0 < np.abs(found).max() <= np.sqrt(6 / 5)


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        (None, []),
        ([], []),
        ((), []),
        ({}, []),
        ("", []),
        ("t", ["t"]),
        (["gen", "bsNone"], ["bsNone", "gen"]),
        (frozenset({"gen", "bsNone"}), ["bsNone", "gen"]),
        ({"train": 1}, ["train"]),
        ({"a": 1, "b": 2}.keys(), ["a", "b"]),
        (["a", "a"], ["a"]),
        (np.array(["a", "b"]), ["a", "b"]),
    ],
)
def test_forms_of_tags(tags, found):
    spec = hub.create_module_spec(identity_fn, [(tags, {})])
    assert list(map(sorted, spec.get_tags())) == [found]
    with hub.eval_function_for_module(spec, tags=tags) as f:
        assert f([1.5]).tolist() == [1.5]


def test_iterators_of_tags_and_variants():
    variants = ((iter(tags), {}) for tags in (["b"], ["a", "b"], [], ["a"]))
    tags = hub.create_module_spec(identity_fn, variants).get_tags()
    assert list(map(sorted, tags)) == [[], ["b"], ["a"], ["a", "b"]]  # as the original has them


@pytest.mark.parametrize("forms", [None, [], (), {}])
def test_without_variants_there_is_one(forms):
    assert hub.create_module_spec(identity_fn, forms).get_tags() == [frozenset()]


def test_the_later_of_two_signatures_of_one_name_counts(caplog):
    def module_fn():
        x = v1.placeholder(tf.float32, [None])
        hub.add_signature(inputs={"x": x}, outputs={"default": 2 * x, "other": x})
        hub.add_signature("", x, 3 * x)

    spec = hub.create_module_spec(module_fn)
    assert list(spec.get_input_info_dict()) == list(spec.get_output_info_dict()) == ["default"]
    with hub.eval_function_for_module(spec) as f:
        assert f([1.0]).tolist() == [3.0]
    (record,) = [r for r in caplog.records if "is defined again" in r.getMessage()]
    assert "'default'" in record.getMessage()


def layers_fn():
    """What real modules are made of: it must pass, plain and built upon."""
    images = v1.placeholder(tf.float32, [None, 4, 4, 1], name="images")
    kernel = v1.get_variable("kernel", [3, 3, 1, 2], initializer=v1.ones_initializer())
    net = tf.nn.conv2d(images, kernel, 1, "SAME")
    with v1.variable_scope("norm"):
        gamma = v1.get_variable("gamma", [2], initializer=v1.ones_initializer())
        beta = v1.get_variable("beta", [2], initializer=v1.zeros_initializer())
        mean = v1.get_variable("mean", [2], initializer=v1.zeros_initializer(), trainable=False)
        net, batch_mean, _ = v1.nn.fused_batch_norm(net, gamma, beta)
        v1.add_to_collection("update_ops", v1.assign_sub(mean, 0.1 * (mean - batch_mean)))
    with v1.variable_scope("head", partitioner=v1.fixed_size_partitioner(2)):
        weight = v1.get_variable("w", [32, 2], initializer=v1.ones_initializer())
        net = tf.reshape(net, [-1, 32]) @ tf.convert_to_tensor(weight)
    words = v1.placeholder(tf.string, [None], name="words")
    pairs = tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([1, 2], tf.int64))
    ids = tf.lookup.StaticHashTable(pairs, -1).lookup(words)
    hub.add_signature(inputs=images, outputs=net)
    hub.add_signature("ids", inputs=words, outputs=ids)


@pytest.mark.parametrize("use_resource", [True, False], ids=["resource", "reference"])
def test_real_layers_pass(use_resource):
    def module_fn():
        with v1.variable_scope("", use_resource=use_resource):
            layers_fn()

    spec = hub.create_module_spec(module_fn)
    assert len(spec.variables) == 6
    assert hub.ModuleLayer(spec)(np.zeros([3, 4, 4, 1])).shape == (3, 2)
    ids = hub.ModuleLayer(spec, signature="ids")(["b", "?"])
    assert ids.numpy().tolist() == [2, -1]


def test_nested_layers_pass(publish):
    path = publish(layers_fn)

    def module_fn():
        module = Module(path, trainable=True)
        images = v1.placeholder(tf.float32, [None, 4, 4, 1])
        words = v1.placeholder(tf.string, [None])
        hub.add_signature(inputs=images, outputs=module(images) * 2)
        hub.add_signature("ids", inputs=words, outputs=module(words, signature="ids"))

    spec = hub.create_module_spec(module_fn)
    assert len(spec.variables) == 6
    assert hub.ModuleLayer(spec)(np.zeros([3, 4, 4, 1])).shape == (3, 2)
    ids = hub.ModuleLayer(spec, signature="ids")(["b", "?"])
    assert ids.numpy().tolist() == [2, -1]
