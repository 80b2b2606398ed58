"""What safe mode refuses, and what an audit tells."""

import dataclasses
import json

import keras
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.golden import Golden, golden_names
from helpers.plans import all_plans
from hub_keras_bridge.graphs.ops.reach import Reach
from hub_keras_bridge.plans import safe_mode
from hub_keras_bridge.plans.audit import Audit, MissingOp, audit_module
from hub_keras_bridge.plans.findings import Finding
from hub_keras_bridge.plans.trust import Trust

v1 = tf.compat.v1


def module_with(op):
    def module_fn():
        x = v1.placeholder(tf.string, [], name="x")
        hub.add_signature(inputs=x, outputs={"default": op(x), "plain": tf.identity(x)})

    return hub.create_module_spec(module_fn)


def after(effect):
    def op(x):
        with tf.control_dependencies([effect(x)]):
            return tf.identity(x)

    return op


@tf.function
def write_inside(x):
    tf.io.write_file("/tmp/never", x)
    return x


def asset(path):
    """A path that the module says is a file of its own."""
    tensor = tf.constant(str(path), name="vocabulary")
    v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, tensor)
    return tensor


def changed(spec, change):
    """The spec again, after a change to its graph that no exporter makes."""
    change(spec.files.saved_model.meta_graphs[0])
    return hub.ModuleSpec(spec.files)


def test_missing_ops_in_functions_and_unread_nodes():
    @tf.function
    def inner(x):
        return tf.exp(x)

    def module_fn():
        x = v1.placeholder(tf.float32, [])
        hub.add_signature(inputs=x, outputs=inner(x))
        hub.add_signature("plain", inputs=x, outputs=tf.negative(x))
        tf.sin(x)

    names = {"Exp": "TFText>Unheard", "Sin": "FrobnicateV7"}

    def change(meta_graph):
        graph_def = meta_graph.graph_def
        bodies = [node for f in graph_def.library.function for node in f.node_def]
        for node in [*graph_def.node, *bodies]:
            node.op = names.get(node.op, node.op)

    spec = changed(hub.create_module_spec(module_fn), change)
    assert audit_module(spec).missing == (
        MissingOp("FrobnicateV7", None, (), ()),
        MissingOp("TFText>Unheard", "tensorflow_text", (), ("default",)),
    )


REACHING = [
    (tf.io.read_file, "(ReadFile: reads files)"),
    (tf.io.matching_files, "(MatchingFiles: reads files)"),
    (
        lambda x: tf.raw_ops.RestoreV2(
            prefix=x, tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.string]
        )[0],
        "(RestoreV2: reads files)",
    ),
    (after(lambda x: tf.io.write_file("/tmp/never", x)), "(WriteFile: writes files)"),
    (
        after(lambda x: tf.print(x, output_stream="file:///tmp/never")),
        "(PrintV2: writes files)",
    ),
    (lambda x: tf.numpy_function(lambda y: y, [x], tf.string), "(PyFunc: python)"),
    (lambda x: tf.strings.as_string(tf.timestamp()), "(Timestamp: process)"),
    (
        lambda x: tf.as_string(tf.data.Dataset.range(3).reduce(tf.int64.max, tf.minimum)),
        "(ReduceDataset: process)",
    ),
    (lambda x: tf.function(tf.io.read_file)(x), "(ReadFile: reads files)"),
]


@pytest.mark.parametrize(("op", "told"), REACHING)
def test_refused_with_the_node_and_its_kind(op, told):
    spec = module_with(op)
    with pytest.raises(hub.UnsafeModuleError) as caught:
        hub.ModuleLayer(spec)
    text = str(caught.value)
    assert told in text
    assert "signature 'default'" in text
    assert "safe_mode=False" in text
    # Neither refused when trusted nor for an output that does without it.
    assert hub.ModuleLayer(spec, safe_mode=False) is not None
    assert hub.ModuleLayer(spec, output_key="plain")("a").numpy() == b"a"


def test_message():
    def twice(x):
        with tf.control_dependencies([write_inside(x)]):
            return tf.io.read_file(x, name="open")

    with pytest.raises(hub.UnsafeModuleError) as caught:
        hub.ModuleLayer(module_with(twice))
    message = str(caught.value)
    lines = message.splitlines()
    assert lines[0] == "Refused a TF1 Hub module in safe mode: it may reach outside its own graph."
    assert lines[2].startswith("  Expected: ops that compute from inputs, weights and vocabularies")
    assert "WriteFile in function __inference_" in lines[3]
    assert lines[3].endswith("open (ReadFile: reads files)")
    assert lines[4].endswith(
        "if you trust the publisher with them, pass trusted_ops={'ReadFile', 'WriteFile'}, or with "
        "all that the process may do, safe_mode=False"
    )


def test_trusted_module_runs(tmp_path):
    (tmp_path / "text").write_text("content")
    layer = hub.ModuleLayer(module_with(tf.io.read_file), safe_mode=False)
    assert layer(str(tmp_path / "text")).numpy() == b"content"


def test_the_console_may_be_written_to(capfd):
    layer = hub.ModuleLayer(module_with(after(lambda x: tf.print("told", x))))
    layer("something")
    assert 'told "something"' in capfd.readouterr().err


# -- The module's own files


def lookup_in(path):
    initializer = tf.lookup.TextFileInitializer(
        path,
        tf.string,
        tf.lookup.TextFileIndex.WHOLE_LINE,
        tf.int64,
        tf.lookup.TextFileIndex.LINE_NUMBER,
    )
    return tf.lookup.StaticHashTable(initializer, -1)


def test_own_vocabulary_is_allowed_and_no_other(tmp_path):
    (tmp_path / "vocab.txt").write_text("a\n")
    spec = module_with(lambda x: lookup_in(str(tmp_path / "vocab.txt")).lookup(x))
    assert audit_module(spec) == Audit("(not published yet)", ())
    assert hub.ModuleLayer(spec)("a").numpy() == 0
    meta_graph = spec.files.saved_model.meta_graphs[0]
    del meta_graph.collection_def["saved_model_assets"]
    spec = hub.ModuleSpec(spec.files)
    with pytest.raises(hub.UnsafeModuleError, match=r"InitializeTableFromTextFileV2: reads files"):
        hub.ModuleLayer(spec)
    assert [f.op for f in audit_module(spec).findings] == ["InitializeTableFromTextFileV2"]


@pytest.mark.parametrize(
    "read",
    [
        lambda path: tf.io.read_file(path),
        lambda path: tf.io.read_file(tf.identity(path)),
        lambda path: tf.function(tf.io.read_file)(path),
        lambda path: tf.function(lambda p: tf.io.read_file(tf.identity(p)))(tf.identity(path)),
    ],
)
def test_an_own_file_may_be_read_as_it_is(tmp_path, read):
    (tmp_path / "text").write_text("content")
    spec = module_with(lambda x: tf.strings.join([x, read(asset(tmp_path / "text"))]))
    assert audit_module(spec).is_safe
    assert hub.ModuleLayer(spec)("own ").numpy() == b"own content"


@pytest.mark.parametrize(
    "path_of",
    [
        lambda path, x: tf.strings.join([path, x]),
        lambda path, x: tf.where(tf.equal(x, ""), path, x),
        lambda path, x: tf.strings.regex_replace(path, ".*", "/etc/passwd"),
    ],
)
def test_another_path_made_of_its_own(tmp_path, path_of):
    (tmp_path / "text").write_text("content")
    spec = module_with(lambda x: tf.io.read_file(path_of(asset(tmp_path / "text"), x)))
    with pytest.raises(hub.UnsafeModuleError, match="ReadFile: reads files"):
        hub.ModuleLayer(spec)
    assert not audit_module(spec).is_safe


def test_a_function_that_also_reads_elsewhere(tmp_path):
    (tmp_path / "text").write_text("content")
    read = tf.function(tf.io.read_file, input_signature=[tf.TensorSpec([], tf.string)])
    spec = module_with(lambda x: tf.strings.join([read(asset(tmp_path / "text")), read(x)]))
    with pytest.raises(hub.UnsafeModuleError, match=r"in function .*ReadFile: reads files"):
        hub.ModuleLayer(spec)


# -- What others keep in the process


def test_a_function_of_somebody_else_in_the_process(tmp_path):
    target = tmp_path / "written"

    @tf.function
    def elsewhere():
        tf.io.write_file(str(target), "x")
        return tf.constant("of another program")

    name = elsewhere.get_concrete_function().name
    name = name.decode() if isinstance(name, bytes) else name

    def call_it(meta_graph):
        node = next(n for n in meta_graph.graph_def.node if n.name == "taken")
        node.op = "StatefulPartitionedCall"
        del node.input[:]
        node.attr.clear()
        node.attr["Tin"].list.SetInParent()
        node.attr["Tout"].list.type.append(tf.string.as_datatype_enum)
        node.attr["f"].func.name = name

    spec = changed(module_with(lambda x: tf.identity(x, name="taken")), call_it)
    with pytest.raises(hub.UnsafeModuleError) as caught:
        hub.ModuleLayer(spec)
    assert f"taken ({name}: unknown)" in str(caught.value)
    # It is no idle fear.
    assert hub.ModuleLayer(spec, safe_mode=False)("a").numpy() == b"of another program"
    assert target.exists()


def test_a_gradient_of_somebody_else():
    def add_gradient(meta_graph):
        library = meta_graph.graph_def.library
        library.gradient.add(
            function_name=library.function[0].signature.name, gradient_func="__inference_other_1"
        )

    spec = changed(module_with(lambda x: tf.function(tf.strings.upper)(x)), add_gradient)
    (finding,) = audit_module(spec).findings
    assert (finding.op, finding.kind) == ("__inference_other_1", Reach.UNKNOWN)
    assert finding.needed_by == ("default",)
    assert finding.function == finding.node


def test_a_handle_in_a_constant():
    def forge(meta_graph):
        node = next(n for n in meta_graph.graph_def.node if n.name == "forged")
        node.attr["dtype"].type = tf.resource.as_datatype_enum
        value = node.attr["value"].tensor
        value.Clear()
        value.dtype = tf.resource.as_datatype_enum
        value.resource_handle_val.add(name="a table of somebody else", container="localhost")

    def module_fn():
        x = v1.placeholder(tf.string, [])
        handle = tf.constant("to be changed", name="forged")
        with tf.control_dependencies([tf.identity(handle)]):
            hub.add_signature(inputs=x, outputs=tf.identity(x))

    spec = changed(hub.create_module_spec(module_fn), forge)
    with pytest.raises(hub.UnsafeModuleError, match=r"forged \(Const: process\)"):
        hub.ModuleLayer(spec)


def test_a_variable_that_is_not_among_the_modules_own():
    def module_fn():
        x = v1.placeholder(tf.float32, [])
        v = v1.get_variable("secret", [], use_resource=True, collections=[], trainable=False)
        hub.add_signature(inputs=x, outputs=x * v)

    spec = hub.create_module_spec(module_fn)
    with pytest.raises(hub.UnsafeModuleError, match=r"secret \(VarHandleOp: process\)"):
        hub.ModuleLayer(spec)
    (finding,) = audit_module(spec).findings
    assert finding == Finding(Reach.PROCESS, "secret", "VarHandleOp", needed_by=("default",))


def test_makers_of_tables_are_looked_at_too():
    """They are cut out of the plans, and run on their own."""

    def op(x):
        writer = tf.raw_ops.SummaryWriter(shared_name="", container="")
        used = tf.raw_ops.VarIsInitializedOp(resource=writer)
        return tf.strings.join([x, tf.as_string(used)])

    variant = module_with(op).variant(())
    plans = all_plans(variant, ["default"])
    with pytest.raises(hub.UnsafeModuleError, match=r"SummaryWriter \(SummaryWriter: writes files"):
        safe_mode.require_safe(plans, variant.subject, Trust())
    plain = all_plans(variant, ["plain"])
    safe_mode.require_safe(plain, variant.subject, Trust())


def test_initializers_of_a_published_module_do_not_run(tmp_path):
    def module_fn():
        x = v1.placeholder(tf.string, [])
        v1.get_variable(
            "length",
            initializer=lambda: tf.strings.length(tf.io.read_file("/etc/hostname")),
            use_resource=True,
        )
        hub.add_signature(inputs=x, outputs=tf.identity(x))

    layer = hub.ModuleLayer(hub.create_module_spec(module_fn))
    layer.export_module(str(tmp_path / "module"))
    audited = audit_module(hub.load_module_spec(str(tmp_path / "module")))
    assert [(f.op, f.needed_by) for f in audited.findings] == [("ReadFile", ())]
    assert audited.is_safe


# -- Whole modules


def test_all_variants_and_signatures_and_what_nothing_runs():
    def module_fn(training):
        path = v1.placeholder(tf.string, [], name="path")
        write_inside(path)
        read = tf.io.read_file(path, name="open")
        joined = tf.strings.join([read, tf.as_string(tf.timestamp(name="now"))])
        hub.add_signature("plain", path, tf.identity(path))
        hub.add_signature("read", path, read)
        hub.add_signature("both", path, joined)
        if training:
            update = tf.io.matching_files(path, name="update")
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update.op)

    spec = hub.create_module_spec(
        module_fn, [(set(), {"training": False}), ({"train"}, {"training": True})]
    )
    found = audit_module(spec).findings

    def told(tags):
        return {f.node: (f.kind, f.needed_by) for f in found if f.tags == tags}

    inference = {
        "open": (Reach.READS, ("both", "read")),
        "now": (Reach.PROCESS, ("both",)),
        "WriteFile": (Reach.WRITES, ()),
    }
    everything = ("both", "plain", "read")
    assert told(()) == inference
    assert told(("train",)) == {**inference, "update": (Reach.READS, everything)}
    assert {f.op for f in found if f.function} == {"WriteFile"}
    assert all(f.function.startswith("__inference_") for f in found if f.op == "WriteFile")


def test_facts_are_ready_for_json():
    facts = dataclasses.asdict(audit_module(module_with(tf.io.read_file)))
    assert json.loads(json.dumps(facts)) == {
        "module": "(not published yet)",
        "findings": [
            {
                "kind": "reads files",
                "node": "ReadFile",
                "op": "ReadFile",
                "function": None,
                "tags": [],
                "needed_by": ["default"],
            }
        ],
        "missing": [],
    }


def test_auditing_leaves_the_module_as_it_is():
    spec = module_with(tf.io.read_file)
    before = spec.files.saved_model.SerializeToString(deterministic=True)
    audit_module(spec)
    assert spec.files.saved_model.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize(("op", "told"), REACHING)
def test_an_audit_agrees_with_safe_mode(op, told):
    audited = audit_module(module_with(op))
    assert not audited.is_safe
    assert any(told in f"({f.op}: {f.kind.value})" for f in audited.findings)


@pytest.mark.parametrize("name", golden_names("apply"))
def test_ordinary_modules_pass(name):
    golden = Golden(name)
    spec = hub.load_module_spec(golden.path)
    assert audit_module(spec).is_safe
    for tags in spec.get_tags():
        for signature in spec.get_signature_names(tags):
            hub.ModuleLayer(golden.path, tags=tags, signature=signature, as_dict=True)


def test_names_that_a_terminal_would_obey():
    finding = Finding(Reach.READS, "a\x1b[2J", "ReadFile", function="f\u202e")
    assert str(finding) == r"a\x1b[2J in function f\u202e (ReadFile: reads files)"


# -- Keras archives


@pytest.fixture
def unsafe_model():
    def module_fn():
        x = v1.placeholder(tf.string, [None])
        hub.add_signature(inputs=x, outputs=tf.strings.join([x, tf.io.read_file("/etc/hostname")]))

    layer = hub.ModuleLayer(hub.create_module_spec(module_fn), safe_mode=False)
    return keras.Sequential([keras.Input((), dtype="string"), layer])


@pytest.mark.parametrize("depth", [0, 2])
def test_load_model_refuses_an_unsafe_archive(unsafe_model, depth, tmp_path):
    model = unsafe_model
    for _ in range(depth):
        model = keras.Sequential([keras.Input((), dtype="string"), model])
    model.save(tmp_path / "m.keras")
    del model
    for safely in ({}, {"safe_mode": True}):
        with pytest.raises(ValueError, match=r"ReadFile \(ReadFile: reads files\)"):
            keras.models.load_model(tmp_path / "m.keras", **safely)
    loaded = keras.models.load_model(tmp_path / "m.keras", safe_mode=False)
    with open("/etc/hostname", "rb") as file:
        assert loaded(tf.constant(["x"])).numpy() == [b"x" + file.read()]


def test_an_archive_does_not_say_of_itself_that_it_is_safe(unsafe_model):
    described = keras.saving.serialize_keras_object(unsafe_model.layers[0])
    assert described["config"]["safe_mode"] is False
    with pytest.raises(hub.UnsafeModuleError, match="ReadFile"):
        keras.saving.deserialize_keras_object(described, safe_mode=True)
    assert keras.saving.deserialize_keras_object(described, safe_mode=False) is not None
