"""What may be published: collections, shapes of variables, what is colocated with what."""

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
    def test_variable_without_a_static_shape(self):
        def module_fn():
            start = v1.placeholder_with_default([1.0, 2.0], [None])
            v1.get_variable("v", initializer=start, validate_shape=False)
            identity_fn()

        with pytest.raises(hub.PublishError, match="shape of variable 'v' is not fixed") as caught:
            hub.create_module_spec(module_fn)
        assert "give its initial value a static shape" in str(caught.value)

    def test_no_signature(self):
        with pytest.raises(hub.PublishError, match="defined no signature"):
            hub.create_module_spec(lambda: tf.constant(1.0))

    def test_unsupported_collection_unless_dropped(self):
        def module_fn():
            identity_fn()
            v1.add_to_collection("my_things", tf.constant(1.0))

        with pytest.raises(hub.PublishError) as caught:
            hub.create_module_spec(module_fn)
        assert "Found: 'my_things'" in str(caught.value)
        assert "drop_collections=['my_things']" in str(caught.value)
        spec = hub.create_module_spec(module_fn, drop_collections=["my_things", "absent"])
        assert "my_things" not in spec.variant(None).published.collection_def


class TestCollections:
    # What TensorFlow itself, its Estimators and its optimizers fill: with variables, or else.
    OF_VARIABLES = (
        "global_step",
        "local_variables",
        "metric_variables",
        "moving_average_variables",
        "concatenated_variables",
        "trainable_resource_variables",
    )
    COMMON = (
        *OF_VARIABLES,
        "activations",
        "biases",
        "eval_step",
        "init_op",
        "local_init_op",
        "local_resources",
        "losses",
        "ready_for_local_init_op",
        "ready_op",
        "resources",
        "saveable_objects",
        "summaries",
        "summary_op",
        "train_op",
        "weights",
    )

    @pytest.mark.parametrize("name", COMMON)
    def test_unsupported(self, name):
        def module_fn():
            identity_fn()
            is_variable = name in self.OF_VARIABLES
            made = v1.get_variable("v", [], trainable=False) if is_variable else tf.constant(1.0)
            v1.add_to_collection(name, made)

        with pytest.raises(ValueError, match=rf"Found: '{name}'") as caught:
            hub.create_module_spec(module_fn)
        drop = caught.value.advice.partition(",")[0].removeprefix("pass ")
        assert drop == f"drop_collections=['{name}']"
        spec = hub.create_module_spec(module_fn, **eval(f"dict({drop})"))
        assert name not in spec.variant(None).published.collection_def

    def test_global_step(self, tmp_path):
        """Its variable stays in the module, as the original library leaves it there."""

        def module_fn():
            x = v1.placeholder(tf.float32, [None])
            step = v1.train.get_or_create_global_step()
            hub.add_signature(inputs=x, outputs=x * tf.cast(step + 2, tf.float32))

        spec = hub.create_module_spec(module_fn, drop_collections=[v1.GraphKeys.GLOBAL_STEP])
        with tf.Graph().as_default(), v1.Session() as session:
            module = Module(spec)
            session.run(v1.global_variables_initializer())
            module.export(tmp_path / "m", session)
        assert [facts.name for facts in hub.load_module_spec(tmp_path / "m").variables] == [
            "global_step"
        ]
        assert hub.ModuleLayer(tmp_path / "m")([1.5]).numpy().tolist() == [3.0]

    def test_of_python_objects_are_no_part_of_a_module(self):
        def module_fn():
            identity_fn()
            v1.add_to_collection("layers", object())

        spec = hub.create_module_spec(module_fn)
        assert not spec.variant(None).published.collection_def

    def test_a_module_fn_meets_only_its_own(self):
        met = []

        def module_fn():
            identity_fn()
            hub.attach_message("key", wrappers_pb2.Int64Value(value=1))
            met.extend(v1.get_default_graph().get_all_collection_keys())

        spec = hub.create_module_spec(module_fn)
        assert met == []
        assert list(spec.variant(None).published.collection_def) == ["hub_module_attachments"]

    def test_a_queue_whose_runners_are_dropped(self):
        def module_fn():
            x = v1.placeholder(tf.float32, [None])
            queue = tf.queue.FIFOQueue(1, [tf.float32], shapes=[[2]])
            v1.train.add_queue_runner(v1.train.QueueRunner(queue, [queue.enqueue(tf.ones([2]))]))
            with tf.control_dependencies([queue.enqueue(2 * x)]):
                hub.add_signature(inputs=x, outputs=queue.dequeue())

        spec = hub.create_module_spec(module_fn, drop_collections=["queue_runners"])
        with hub.eval_function_for_module(spec) as f:
            assert f([1.0, 2.0]).tolist() == [2.0, 4.0]


def constant_table():
    pairs = tf.lookup.KeyValueTensorInitializer(tf.constant([1]), tf.constant([2]))
    return tf.lookup.StaticHashTable(pairs, -1)


HOLDERS = {
    "variable": lambda: v1.get_variable("v", [2]),
    "reference variable": lambda: v1.get_variable("v", [2], use_resource=False),
    "table": constant_table,
    "mutable table": lambda: tf.raw_ops.MutableHashTableV2(
        key_dtype=tf.string, value_dtype=tf.int64
    ),
    "queue": lambda: tf.queue.FIFOQueue(3, [tf.float32]),
    "iterator": lambda: tf.raw_ops.IteratorV2(
        shared_name="", container="", output_types=[tf.float32], output_shapes=[[]]
    ),
}


class TestColocation:
    """State goes with state only, inputs with nothing; all else is free."""

    @staticmethod
    def publish(build):
        def module_fn():
            x = v1.placeholder(tf.float32, [None, 2], name="x")
            build(x)
            hub.add_signature(inputs=x, outputs=x)

        return hub.create_module_spec(module_fn)

    @pytest.mark.parametrize("kind", HOLDERS)
    def test_state_with_an_op_that_holds_none(self, kind):
        def build(x):
            with v1.colocate_with(x):
                HOLDERS[kind]()

        with pytest.raises(hub.PublishError, match="which holds state, is colocated") as caught:
            self.publish(build)
        assert "Found: colocated with 'x'" in str(caught.value)

    @pytest.mark.parametrize("kind", HOLDERS)
    def test_state_with_state(self, kind):
        def build(x):
            with v1.colocate_with(v1.get_variable("w", [2]).handle.op):
                HOLDERS[kind]()

        self.publish(build)

    @pytest.mark.parametrize(
        "build",
        [
            lambda x: tf.random.uniform([2]),
            lambda x: v1.Print(x, [x]),
            lambda x: v1.py_func(lambda value: value, [x], tf.float32),
            lambda x: tf.TensorArray(tf.float32, 3).write(0, x).read(0),
            lambda x: tf.function(lambda: tf.random.uniform([2]))(),
            lambda x: tf.raw_ops.StackV2(max_size=tf.constant(1), elem_type=tf.float32),
        ],
    )
    def test_effects_and_randomness_are_no_state(self, build):
        def colocated(x):
            with v1.colocate_with(x):
                build(x)

        self.publish(colocated)

    def test_in_any_variant(self):
        def module_fn(colocated):
            x = v1.placeholder(tf.float32, [None, 2])
            with v1.colocate_with(x if colocated else None, ignore_existing=not colocated):
                weight = v1.get_variable("w", [2])
            hub.add_signature(inputs=x, outputs=x * weight)

        variants = [((), {"colocated": False}), ({"train"}, {"colocated": True})]
        with pytest.raises(hub.PublishError, match=r"tags \{'train'\}"):
            hub.create_module_spec(module_fn, variants)

    @pytest.mark.parametrize("kind", ["dense", "sparse", "ragged"])
    def test_input_with_another_op(self, kind):
        def build(x):
            with v1.colocate_with(x):
                given = {
                    "dense": lambda: v1.placeholder(tf.float32, [None]),
                    "sparse": lambda: v1.sparse_placeholder(tf.float32, [None, 3]),
                    "ragged": lambda: v1.ragged.placeholder(tf.int64, 1, value_shape=[]),
                }[kind]()
            hub.add_signature("two", inputs={"x": x, "given": given}, outputs=x)

        with pytest.raises(hub.PublishError, match="input 'given' is colocated") as caught:
            self.publish(build)
        assert "Found: colocated with 'x'" in str(caught.value)
        assert "signature 'two'" in str(caught.value)

    def test_another_op_with_an_input_or_state(self):
        def build(x):
            weight = v1.get_variable("w", initializer=[1.0, 2.0])
            with v1.colocate_with(x):
                scaled = x * 2
            with v1.colocate_with(weight.handle.op):
                y = scaled * weight
            hub.add_signature("weighted", inputs=x, outputs=y)

        spec = self.publish(build)
        assert hub.ModuleLayer(spec, signature="weighted")([[1.0, 1.0]]).numpy().tolist() == [
            [2, 4]
        ]

    def test_input_that_names_itself(self):
        def build(x):
            own = v1.AttrValue.ListValue(s=[b"loc:@x"])
            x.op._set_attr("_class", v1.AttrValue(list=own))

        self.publish(build)

    def test_input_from_an_op_with_several_outputs_is_logged(self, caplog):
        def build(x):
            left, right = tf.split(x, 2, axis=1)
            hub.add_signature("sum", inputs=left, outputs=left + right)

        self.publish(build)
        (record,) = [r for r in caplog.records if r.levelname == "ERROR"]
        assert "Input 'default'" in record.getMessage()
        assert "split:0, one of 2 outputs of an op of type Split" in record.getMessage()

    def test_input_from_an_op_with_one_output_is_not(self, caplog):
        self.publish(lambda x: None)
        assert not [r for r in caplog.records if r.levelname == "ERROR"]
