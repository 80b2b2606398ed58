"""Publishing: what create_module_spec takes, refuses and writes."""

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

    def test_variable_without_a_static_shape(self):
        def module_fn():
            start = v1.placeholder_with_default([1.0, 2.0], [None])
            v1.get_variable("v", initializer=start, validate_shape=False)
            identity_fn()

        with pytest.raises(hub.PublishError, match="shape of variable 'v' is not fixed") as caught:
            hub.create_module_spec(module_fn)
        assert "give its initial value a static shape" in str(caught.value)

    def test_tags_twice(self):
        with pytest.raises(hub.PublishError) as caught:
            hub.create_module_spec(identity_fn, [({"a"}, {}), (["a"], {})])
        assert "two variants have the same tags" in str(caught.value)
        assert "Found: {'a'} twice" in str(caught.value)

    def test_no_signature(self):
        with pytest.raises(hub.PublishError, match="defined no signature"):
            hub.create_module_spec(lambda: tf.constant(1.0))

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

    @pytest.mark.parametrize("key", [3, "", "1a", "a-b", "a.b", "ä", "a\n"])
    def test_malformed_attachment_key(self, key):
        with tf.Graph().as_default(), pytest.raises(hub.PublishError, match="under the key"):
            hub.attach_message(key, wrappers_pb2.Int64Value(value=1))

    def test_asset_that_is_no_path(self):
        def module_fn():
            identity_fn()
            path = v1.placeholder_with_default("/no/such/file", [])
            v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, path)

        with pytest.raises(hub.PublishError, match="Found: an op of type PlaceholderWithDefault"):
            hub.create_module_spec(module_fn)


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


@pytest.mark.parametrize("name", [None, "", 0, "default", b"default"])
def test_forms_of_the_default_name(name):
    def module_fn():
        x = v1.placeholder(tf.float32, [None])
        hub.add_signature(name, {b"x": x}, {b"y": 2 * x, "": x})

    spec = hub.create_module_spec(module_fn)
    assert spec.get_signature_names() == ["default"]
    assert list(spec.get_input_info_dict()) == ["x"]
    assert sorted(spec.get_output_info_dict()) == ["", "y"]


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


class TestAssets:
    def lookup_fn(self, *paths):
        x = v1.placeholder(tf.string, [None])
        outputs = {}
        for index, path in enumerate(paths):
            initializer = tf.lookup.TextFileInitializer(
                str(path),
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            )
            outputs[f"ids_{index}"] = tf.lookup.StaticHashTable(initializer, -1).lookup(x)
        hub.add_signature(inputs=x, outputs=outputs)

    def write(self, path, words):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(words) + "\n")
        return path

    def test_equal_base_names(self, tmp_path):
        one = self.write(tmp_path / "one" / "vocab.txt", ["a", "b"])
        other = self.write(tmp_path / "other" / "vocab.txt", ["b", "c", "a"])
        spec = hub.create_module_spec(lambda: self.lookup_fn(one, other))
        assert sorted(spec.files.assets) == ["vocab.txt", "vocab_1.txt"]
        spec.export(tmp_path / "m")
        one.unlink()
        other.unlink()
        found = hub.ModuleLayer(tmp_path / "m", as_dict=True)(["a", "b", "c", "d"])
        assert found["ids_0"].numpy().tolist() == [0, 1, -1, -1]
        assert found["ids_1"].numpy().tolist() == [2, 0, 1, -1]

    def test_file_that_comes_later(self, tmp_path):
        path = tmp_path / "vocab.txt"
        spec = hub.create_module_spec(lambda: self.lookup_fn(path))
        with pytest.raises(hub.ExportError, match=r"its asset 'vocab\.txt' is missing") as caught:
            spec.export(tmp_path / "m")
        assert caught.value.expected == f"the file {path}"
        assert caught.value.advice.startswith("put the file there;")
        self.write(path, ["a", "b"])
        spec.export(tmp_path / "m")
        path.unlink()
        assert hub.ModuleLayer(tmp_path / "m", output_key="ids_0")(["b"]).numpy().tolist() == [1]

    def test_same_file_twice_is_one_asset(self, tmp_path):
        path = self.write(tmp_path / "vocab.txt", ["a"])
        spec = hub.create_module_spec(lambda: self.lookup_fn(path, path))
        assert list(spec.files.assets) == ["vocab.txt"]

    def test_published_path_is_not_the_publishers(self, tmp_path):
        path = self.write(tmp_path / "vocab.txt", ["a"])
        spec = hub.create_module_spec(lambda: self.lookup_fn(path))
        ((tensor, name),) = spec.variant(None).assets.items()
        value = spec.variant(None).nodes[tensor.removesuffix(":0")].attr["value"].tensor
        # What the original library writes there, too.
        assert (name, list(value.string_val)) == ("vocab.txt", [b"SAVEDMODEL-ASSET"])

    def test_tables_of_equal_shared_name_stay_apart(self, tmp_path):
        """Both modules call their table by the same process-wide name."""
        layers = []
        for number, words in enumerate((["a", "b"], ["b", "a"])):
            path = self.write(tmp_path / str(number) / "vocab.txt", words)
            spec = hub.create_module_spec(lambda path=path: self.lookup_fn(path))
            for node in spec.files.saved_model.meta_graphs[0].graph_def.node:
                if "HashTable" in node.op:
                    node.attr["shared_name"].s = b"hash_table_vocab"
            layers.append(hub.ModuleLayer(spec, output_key="ids_0"))
        assert [layer(["a", "b"]).numpy().tolist() for layer in layers] == [[0, 1], [1, 0]]

    def test_tables_from_constants(self):
        def module_fn():
            x = v1.placeholder(tf.string, [None])
            initializer = tf.lookup.KeyValueTensorInitializer(
                tf.constant(["a", "b"]), tf.constant([10, 20], tf.int64)
            )
            hub.add_signature(
                inputs=x, outputs=tf.lookup.StaticHashTable(initializer, -1).lookup(x)
            )

        layer = hub.ModuleLayer(hub.create_module_spec(module_fn))
        assert layer(["b", "?", "a"]).numpy().tolist() == [20, -1, 10]


def test_default_attributes_are_stripped(scale_spec):
    (multiply,) = [
        n for n in scale_spec.variant(None).published.graph_def.node if n.op == "VarHandleOp"
    ]
    # Added in TensorFlow 2; with its default, an older reader need not know it.
    assert "allowed_devices" not in multiply.attr


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
