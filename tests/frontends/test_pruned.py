"""Functions between any tensors of a loaded module's graph, and what else its object has.

What is expected, the original library's object gives for the same module.
"""

import collections
import contextlib
import gc
import re

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.golden import Golden, golden_names
from hub_keras_bridge.plans.endpoint import Endpoint
from hub_keras_bridge.plans.program import Program

v1 = tf.compat.v1

EMBEDDED = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [0.0, 0.0]]


@pytest.fixture
def path(publish, tmp_path):
    """Words -> rows of an embedding -> twice these."""
    (tmp_path / "vocab.txt").write_text("a\nb\nc\n")

    def module_fn():
        words = v1.placeholder(tf.string, [None], name="words")
        initializer = tf.lookup.TextFileInitializer(
            str(tmp_path / "vocab.txt"),
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )
        ids = tf.lookup.StaticHashTable(initializer, 3).lookup(words)
        rows = tf.gather(v1.get_variable("emb", initializer=EMBEDDED), ids, name="rows")
        hub.add_signature(inputs=words, outputs=tf.multiply(rows, 2.0, name="twice"))
        sparse = v1.sparse_placeholder(tf.int64, [None, None], name="sparse")
        hub.add_signature("sparse", inputs=sparse, outputs=tf.identity(sparse.values, "values"))

    return publish(module_fn)


@pytest.fixture
def module(path):
    return hub.load(path)


WORDS = tf.constant(["a", "c", "unknown"])
ROWS = [[1.0, 2.0], [5.0, 6.0], [0.0, 0.0]]
TWICE = [[2.0, 4.0], [10.0, 12.0], [0.0, 0.0]]


def lists(found):
    return tf.nest.map_structure(lambda tensor: np.asarray(tensor).tolist(), found)


class TestPrune:
    def test_by_name(self, module):
        twice = module.prune("words:0", "twice:0")
        assert lists(twice(WORDS)) == TWICE
        assert lists(twice(words=WORDS)) == TWICE
        assert twice.structured_outputs.shape.as_list() == [None, 2]
        module.variables[0].assign(10 * module.variables[0])
        assert lists(twice(WORDS)) == [[10 * each for each in row] for row in TWICE]

    def test_nests(self, module):
        function = module.prune(["words:0"], {"a": "rows:0", "b": ("twice:0", "words:0")})
        words = [b"a", b"c", b"unknown"]
        assert lists(function(WORDS)) == {"a": ROWS, "b": (TWICE, words)}

    def test_tensors_of_the_graph(self, module):
        get = module.graph.get_tensor_by_name
        function = module.prune([get("words:0")], [get("twice:0")])
        assert lists(function(WORDS)) == [TWICE]

    def test_inner_tensors_are_fed(self, module):
        assert lists(module.prune("rows:0", "twice:0")([[1.0, 2.0]])) == [[2.0, 4.0]]
        both = module.prune(["words:0", "rows:0"], ["twice:0", "words:0"])
        assert lists(both(WORDS, tf.constant([[7.0, 8.0]]))) == [
            [[14.0, 16.0]],
            [b"a", b"c", b"unknown"],
        ]

    def test_without_feeds(self, module):
        assert lists(module.prune([], "emb/Read/ReadVariableOp:0")()) == EMBEDDED

    def test_sparse_tensors(self, module):
        get = module.graph.get_tensor_by_name
        names = ("sparse/indices:0", "sparse/values:0", "sparse/shape:0")
        sparse = tf.SparseTensor(*map(get, names))
        given = tf.sparse.from_dense(tf.constant([[0, 5], [7, 0]], tf.int64))
        found = module.prune(sparse, {"all": sparse, "values": "values:0"})(
            given.indices, given.values, given.dense_shape
        )
        assert lists(tf.sparse.to_dense(found["all"])) == [[0, 5], [7, 0]]
        assert lists(found["values"]) == [5, 7]

    def test_ops_are_run(self, module):
        module.variables[0].assign(tf.zeros([4, 2]))
        assert module.prune([], "emb/Assign")() is None
        assert lists(module.variables) == [EMBEDDED]
        found = module.prune("words:0", ["twice", "rows:0", "words", "emb"])(WORDS)
        assert (lists(found[1]), found[0], found[2:]) == (ROWS, None, [None, None])

    def test_gradients(self, module):
        twice, (emb,) = module.prune("words:0", "twice:0"), module.variables
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(twice(tf.constant(["a"])))
        gradient = tape.gradient(loss, emb)
        assert lists(tf.convert_to_tensor(gradient)) == [[2, 2], [0, 0], [0, 0], [0, 0]]

    def test_needs_nothing_else(self, path):
        """Programs keep the function alone."""
        twice = hub.load(path).prune("words:0", "twice:0")
        gc.collect()
        assert lists(twice(WORDS)) == TWICE
        assert lists(tf.function(twice)(WORDS)) == TWICE

    def test_saved(self, module, tmp_path):
        """As a signature; and saving builds no graph that nobody asked for."""
        signatures = {"inner": module.prune("words:0", {"rows": "rows:0"})}
        tf.saved_model.save(module, tmp_path / "saved", signatures)
        loaded = tf.saved_model.load(tmp_path / "saved")
        assert lists(loaded.signatures["inner"](words=WORDS)) == {"rows": ROWS}
        other = hub.load(module.spec)
        tf.saved_model.save(other, tmp_path / "other")
        assert "graph" not in vars(other._pruner)

    def test_tags(self, publish):
        def module_fn(factor):
            x = v1.placeholder(tf.float32, [], name="x")
            hub.add_signature(inputs=x, outputs=tf.multiply(x, factor, name="y") + 1.0)

        variants = [(set(), {"factor": 2.0}), ({"train"}, {"factor": 3.0})]
        path = publish(module_fn, variants)
        assert lists(hub.load(path).prune("x:0", "y:0")(tf.constant(1.0))) == 2.0
        assert lists(hub.load(path, tags=["train"]).prune("x:0", "y:0")(tf.constant(1.0))) == 3.0


# In the way of a comparison: random numbers, files, assignments, loops and branches; and what a
# session does not compute of a batch normalization that only infers.
NOT_COMPARED = re.compile(
    "Random|Truncated|Save|Restore|Merge|Sharded|Assign|Initialized|Switch|Enter|FusedBatchNorm"
)


def comparable(graph, feeds):
    """The names of the tensors that have a value of their own, given the feeds."""
    after, waiting = collections.defaultdict(list), []
    for op in graph.get_operations():
        for before in (*(tensor.op for tensor in op.inputs), *op.control_inputs):
            after[before.name].append(op)
        is_unfed = op.type == "Placeholder" and op.outputs[0].name not in feeds
        if is_unfed or NOT_COMPARED.match(op.type):
            waiting.append(op)
    left_out = set()
    while waiting:
        op = waiting.pop()
        if op.name not in left_out:
            left_out.add(op.name)
            waiting += after[op.name]
    return [
        tensor.name
        for op in graph.get_operations()
        for tensor in op.outputs
        if op.name not in left_out
        and tensor.dtype not in (tf.resource, tf.variant)
        and tensor.dtype == tensor.dtype.base_dtype
    ]


@pytest.mark.parametrize("name", golden_names("apply"))
def test_inner_tensors(name):
    """Those, and the outputs, have the values that a session finds under their names."""
    golden = Golden(name)
    entry = golden.oracle["apply"][0]
    module = hub.load(golden.path, tags=entry["tags"], signature=entry["signature"])
    variant = module.spec.variant(entry["tags"])
    endpoint = Endpoint(Program(variant), entry["signature"], None, True)
    feeds = variant.published_signature(endpoint.signature).input_tensors
    values = [value.numpy() for value in endpoint.bind(golden.inputs(0))]
    outputs, _ = variant.published_signature(endpoint.signature).fetches(endpoint.outputs)
    whole = hub.load(golden.path, tags=entry["tags"], safe_mode=False).graph
    names = list(dict.fromkeys([*comparable(whole, feeds), *outputs]))
    assert len(names) > 10
    with tf.Graph().as_default() as graph:
        applied = hub.Module(golden.path, tags=entry["tags"])
        flat = map(tf.constant, values)
        inputs = {
            key: info.pack([next(flat) for _ in info.component_specs])
            for key, info in endpoint.facts.inputs.items()
        }
        applied(inputs, endpoint.signature, as_dict=True)
        scope = f"module_apply_{endpoint.signature}/"
        fed = dict(zip(feeds, values, strict=True))
        with v1.Session() as session:
            session.run([v1.global_variables_initializer(), v1.tables_initializer()])
            inner = [name for name in names if name not in fed]
            found = session.run([graph.get_tensor_by_name(scope + name) for name in inner])
    expected = {**fed, **dict(zip(inner, found, strict=True))}
    pruned = module.prune(feeds, names)(*map(tf.constant, values))
    for name, tensor in zip(names, pruned, strict=True):
        if tensor.dtype.is_floating:
            np.testing.assert_allclose(tensor, expected[name], 1e-5, 1e-5, err_msg=name)
        else:
            np.testing.assert_array_equal(tensor, expected[name], err_msg=name)


class TestRefused:
    def refusal(self, module, feeds, fetches):
        with pytest.raises((ValueError, KeyError)) as caught:
            module.prune(feeds, fetches)
        assert isinstance(caught.value, hub.SignatureError)
        return caught.value

    @pytest.mark.parametrize(("feeds", "fetches"), [("no:0", "twice:0"), ("words:0", "no:0")])
    def test_no_such_tensor(self, module, path, feeds, fetches):
        assert str(self.refusal(module, feeds, fetches)) == (
            "Cannot prune the graph of a TF1 Hub module: it has no such tensor.\n"
            f"  In: module {path!r}, tags {{}}\n"
            "  Expected: names such as 'x:0', or tensors of the loaded module's graph\n"
            "  Found: The name 'no:0' refers to a Tensor which does not exist. The operation, "
            "'no', does not exist in the graph.\n"
            "  What to do: look for the name among module.graph.get_operations()"
        )

    def test_tensors_of_another_graph(self, module):
        with tf.Graph().as_default():
            other = v1.placeholder(tf.string, [None])
        for feeds, fetches in ((other, "twice:0"), ("words:0", other), (3, "twice:0")):
            assert "has no such tensor" in str(self.refusal(module, feeds, fetches))

    def test_ops_are_fed(self, module):
        error = self.refusal(module, "words", "twice:0")
        assert (error.found, error.advice) == (
            "'words'",
            "feed what the op gives, such as 'words:0'",
        )

    def test_something_is_not_fed(self, module):
        assert self.refusal(module, [], "twice:0").found == "unfed placeholders 'words'"

    def test_references(self):
        module = hub.load(Golden("ref_vars").path)
        (name, *_) = (op.name for op in module.graph.get_operations() if op.type == "VariableV2")
        error = self.refusal(module, [], f"{name}:0")
        assert error.found == repr(f"{name}:0")
        # The advice works.
        (variable,) = (each for each in module.variables if each.name == f"{name}:0")
        assert lists(module.prune([], f"{name}/read:0")()) == lists(variable)

    def test_safe_mode(self, publish):
        """What no signature runs can be named, too."""

        def module_fn():
            x = v1.placeholder(tf.string, [], name="x")
            tf.io.read_file(x, name="read")
            tf.print(x, output_stream="file:///tmp/out", name="print")
            hub.add_signature(inputs=x, outputs=tf.strings.join([x, x], name="y"))

        path = publish(module_fn)
        module = hub.load(path)
        assert lists(module.prune("x:0", "y:0")(tf.constant("a"))) == b"aa"
        with pytest.raises(hub.UnsafeModuleError, match="ReadFile"):
            module.prune("x:0", "read:0")
        # There, but not as what they were.
        trusting = hub.load(path, safe_mode=False)
        printing = [op.name for op in trusting.graph.get_operations() if "Print" in op.type]
        assert printing
        assert {module.graph.get_operation_by_name(name).type for name in printing} == {"NoOp"}
        assert module.graph.get_operation_by_name("read").type == "Placeholder"
        with pytest.raises(hub.UnsafeModuleError, match="Print"):
            module.prune("x:0", printing)
        read = trusting.prune("x:0", "read:0")
        assert lists(read(tf.constant(f"{path}/tfhub_module.pb"))) == b"\x08\x03"

    def test_within_a_loop(self, publish):
        """TensorFlow would end the process."""

        def module_fn():
            x = v1.placeholder(tf.float32, [], name="x")
            last = tf.while_loop(lambda y: y < 9.0, lambda y: 2.0 * y + 1.0, [x], name="loop")
            hub.add_signature(inputs=x, outputs=tf.add(last, 0.5, name="y"))

        v1.disable_control_flow_v2()
        try:
            module = hub.load(publish(module_fn))
        finally:
            v1.enable_control_flow_v2()
        inside = [op for op in module.graph.get_operations() if op.name.startswith("loop/")]
        leaving = [op for op in inside if op.type == "Exit"]
        assert len(inside) > 8
        for op in set(inside) - set(leaving):
            with pytest.raises(hub.SignatureError, match="within a loop") as caught:
                module.prune("x:0", op)
            assert op.name in caught.value.found
        assert lists(module.prune("x:0", leaving[0].outputs[0])(tf.constant(1.0))) == 15.0
        assert lists(module.prune("x:0", "y:0")(tf.constant(1.0))) == [15.5]


class TestObject:
    def test_graph(self, module):
        types = {op.name: op.type for op in module.graph.get_operations()}
        assert types == {
            node.name: node.op for node in module.spec.variant(None).published.graph_def.node
        }
        assert module.graph is module.graph

    def test_files(self, module, path):
        (asset,) = module.asset_paths
        assert lists(asset.asset_path) == f"{path}/assets/vocab.txt".encode()

    def test_publisher(self, module):
        assert module.tensorflow_version == tf.version.VERSION
        assert module.tensorflow_git_version == tf.version.GIT_VERSION
        old = hub.load(Golden("ref_vars").path)
        meta_info = old.spec.variant(None).published.meta_info_def
        assert old.tensorflow_version == meta_info.tensorflow_version != ""

    def test_what_there_is_not(self, module, path):
        for name in ("restore", "initializer", "other"):
            assert not hasattr(module, name)
        with pytest.raises(AttributeError, match="no attribute 'initializer': its tables fill"):
            module.initializer  # noqa: B018
        with pytest.raises(AttributeError, match=r"tf.train.load_variable\(prefix, name\)"):
            module.restore(f"{path}/variables/variables")
        # The advice works.
        (variable,) = module.variables
        variable.assign(tf.train.load_variable(f"{path}/variables/variables", "emb"))

    def test_in_a_graph(self, path):
        with tf.Graph().as_default() as graph:
            module = hub.load(path)
            for name in ("graph", "prune"):
                with pytest.raises(AttributeError, match=f"{name!r}: in a TF1 graph, make a hub"):
                    getattr(module, name)
            for name in ("asset_paths", "initializer", "restore"):
                with pytest.raises(AttributeError, match=f"{name!r}: "):
                    getattr(module, name)
            assert not hasattr(module, "other")
            assert module.tensorflow_version == tf.version.VERSION
            # The advice works.
            assert v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS)
            hub.Module(path)(["a"])
            assert graph.get_tensor_by_name("module_apply_default/rows:0").dtype == tf.float32


@pytest.mark.parametrize("in_graph", [False, True])
def test_whether_it_is_a_tf1_hub_module(in_graph, path, tmp_path):
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None])
        v1.saved_model.simple_save(session, str(tmp_path / "tf1"), {"x": x}, {"y": x + 1.0})
    tf.saved_model.save(hub.load(path), tmp_path / "tf2")
    with tf.Graph().as_default() if in_graph else contextlib.nullcontext():
        for handle in (path, hub.load_module_spec(path)):
            assert hub.load(handle)._is_hub_module_v1 is True
        for handle in (tmp_path / "tf1", tmp_path / "tf2"):
            assert hub.load(handle)._is_hub_module_v1 is False


def test_a_tf1_saved_model(tmp_path):
    """The example in TensorFlow's documentation."""
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [], name="x")
        out = tf.add(x, v1.get_variable("v", initializer=2.0), name="out")
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(tmp_path / "saved"), {"x": x}, {"out": out})
    pruned = hub.load(tmp_path / "saved").prune("x:0", "out:0")
    assert lists(pruned(tf.ones([]))) == 3.0
