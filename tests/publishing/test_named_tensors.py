"""What a publisher may name as an input or output of a signature."""

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub

v1 = tf.compat.v1


def identity_fn():
    x = v1.placeholder(tf.float32, [None])
    hub.add_signature(inputs=x, outputs=x)


NO_TENSORS = {
    "truth value": lambda: True,
    "number": lambda: 1.5,
    "text": lambda: "text",
    "list": lambda: [1, 2],
    "array": lambda: np.zeros(2),
    "array's element": lambda: np.float32(1),
    "variable": lambda: v1.get_variable("v", [2]),
    "reference variable": lambda: v1.get_variable("v", [2], use_resource=False),
    "slices": lambda: tf.IndexedSlices(tf.ones([1]), tf.constant([0]), tf.constant([3])),
    "tensors": lambda: [tf.constant(1), tf.constant(2)],
    "partitioned variable": lambda: v1.get_variable(
        "v", [4], partitioner=v1.fixed_size_partitioner(2)
    ),
    "None": lambda: None,
    "dict": lambda: {"b": tf.constant(1)},
    "object": object,
    "op": tf.no_op,
    "array of tensors": lambda: tf.TensorArray(tf.float32, 2),
    "parts of a sparse tensor": lambda: v1.SparseTensorValue([[0]], [1.0], [2]),
}
CONVERTIBLE = list(NO_TENSORS)[:10]


@pytest.mark.parametrize("value", NO_TENSORS)
def test_advice_on_what_is_no_tensor_works(value):
    advised = []

    def module_fn():
        x = v1.placeholder(tf.float32, [None])
        given = NO_TENSORS[value]()
        with pytest.raises(hub.PublishError) as caught:
            hub.add_signature(inputs=x, outputs={"a": given})
        advised.append(caught.value.advice)
        code = advised[0].partition("pass a tensor of it: ")[2]
        hub.add_signature(inputs=x, outputs=eval(code, {"tf": tf, "value": given}) if code else x)

    hub.create_module_spec(module_fn)
    assert advised[0].startswith("pass a tensor of it: ") == (value in CONVERTIBLE)


def test_composite_signatures(publish):
    def module_fn():
        sparse = v1.sparse_placeholder(tf.float32, [None, 3])
        hub.add_signature("sparse", inputs=sparse, outputs=sparse * 2.0)
        ragged = v1.ragged.placeholder(tf.int64, 1, value_shape=[])
        hub.add_signature("ragged", inputs={"r": ragged}, outputs=ragged + 1)

    path = publish_first_signature(publish, module_fn)
    doubled = hub.ModuleLayer(path, signature="sparse")(tf.sparse.from_dense([[1.0, 0, 2]]))
    assert tf.sparse.to_dense(doubled).numpy().tolist() == [[2, 0, 4]]
    more = hub.ModuleLayer(path, signature="ragged")(tf.ragged.constant([[1, 2], []], tf.int64))
    assert more.to_list() == [[2, 3], []]


def publish_first_signature(publish, module_fn):
    def with_default():
        module_fn()
        identity_fn()

    return publish(with_default)


@pytest.mark.parametrize("name", [None, "", 0, "default", b"default"])
def test_forms_of_the_default_name(name):
    def module_fn():
        x = v1.placeholder(tf.float32, [None])
        hub.add_signature(name, {b"x": x}, {b"y": 2 * x, "": x})

    spec = hub.create_module_spec(module_fn)
    assert spec.get_signature_names() == ["default"]
    assert list(spec.get_input_info_dict()) == ["x"]
    assert sorted(spec.get_output_info_dict()) == ["", "y"]


class TestRefused:
    def test_tensor_of_another_graph(self):
        with tf.Graph().as_default():
            foreign = tf.constant(1.0)
        with tf.init_scope():
            eager = tf.constant(1.0)
        for tensor in (foreign, eager):

            def module_fn(tensor=tensor):
                hub.add_signature(inputs=v1.placeholder(tf.float32, []), outputs=tensor)

            with pytest.raises(hub.PublishError, match="output 'default' is no tensor") as caught:
                hub.create_module_spec(module_fn)
            assert "make this tensor within module_fn" in caught.value.advice

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            ({"inputs": {3: 0}}, "the name of an input is no string"),
            ({"inputs": {"x": 0}, "outputs": {3: 0}}, "the name of an output is no string"),
            ({"name": 3}, "its name is no string"),
        ],
    )
    def test_names_that_are_no_strings(self, arguments, text):
        def module_fn():
            x = v1.placeholder(tf.float32, [])
            given = tf.nest.map_structure(lambda value: x if value == 0 else value, arguments)
            hub.add_signature(**given)

        with pytest.raises(hub.PublishError, match=text) as caught:
            hub.create_module_spec(module_fn)
        assert "Found: int: 3" in str(caught.value)

    @pytest.mark.parametrize("kind", ["input", "output"])
    @pytest.mark.parametrize("value", NO_TENSORS)
    def test_what_is_no_tensor(self, value, kind):
        def module_fn():
            x = v1.placeholder(tf.float32, [None])
            given = {"input": x, "output": x, kind: {"a": NO_TENSORS[value]()}}
            hub.add_signature(inputs=given["input"], outputs=given["output"])

        # The original library's is a ValueError, of the latter kind also a TypeError.
        with pytest.raises(hub.PublishError, match=f"{kind} 'a' is no tensor") as caught:
            hub.create_module_spec(module_fn)
        assert isinstance(caught.value, ValueError)
        assert isinstance(caught.value, TypeError)
