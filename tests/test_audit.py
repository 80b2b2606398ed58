"""What safe mode refuses."""

import keras
import pytest
import tensorflow as tf
from conftest import Golden, golden_names

import hub_keras_bridge as hub
from hub_keras_bridge import audit

v1 = tf.compat.v1


def module_with(op):
    def module_fn():
        x = v1.placeholder(tf.string, [])
        hub.add_signature(inputs=x, outputs={"default": op(x), "plain": tf.identity(x)})

    return hub.create_module_spec(module_fn)


def writing(x):
    with tf.control_dependencies([tf.io.write_file("/tmp/never", x)]):
        return tf.identity(x)


@pytest.mark.parametrize(
    ("op", "name"),
    [
        (tf.io.read_file, "ReadFile"),
        (writing, "WriteFile"),
        (tf.io.matching_files, "MatchingFiles"),
        (lambda x: tf.numpy_function(lambda y: y, [x], tf.string), "PyFunc"),
        (
            lambda x: tf.raw_ops.RestoreV2(
                prefix=x, tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.string]
            )[0],
            "RestoreV2",
        ),
        (lambda x: tf.function(tf.io.read_file)(x), "ReadFile"),
    ],
)
def test_refused_with_the_node(op, name):
    spec = module_with(op)
    with pytest.raises(hub.UnsafeModuleError) as caught:
        hub.ModuleLayer(spec)
    text = str(caught.value)
    assert f"({name}" in text
    assert "signature 'default'" in text
    assert "safe_mode=False" in text
    # Neither refused when trusted nor for an output that does without it.
    assert hub.ModuleLayer(spec, safe_mode=False) is not None
    assert hub.ModuleLayer(spec, output_key="plain")("a").numpy() == b"a"


def test_trusted_module_runs(tmp_path):
    (tmp_path / "text").write_text("content")
    layer = hub.ModuleLayer(module_with(tf.io.read_file), safe_mode=False)
    assert layer(str(tmp_path / "text")).numpy() == b"content"


def test_own_vocabulary_is_allowed_and_no_other(tmp_path):
    (tmp_path / "vocab.txt").write_text("a\n")

    def lookup(x):
        initializer = tf.lookup.TextFileInitializer(
            str(tmp_path / "vocab.txt"),
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )
        return tf.lookup.StaticHashTable(initializer, -1).lookup(x)

    spec = module_with(lookup)
    assert hub.ModuleLayer(spec)("a").numpy() == 0
    meta_graph = spec.files.saved_model.meta_graphs[0]
    del meta_graph.collection_def["saved_model_assets"]
    with pytest.raises(hub.UnsafeModuleError, match="InitializeTableFromTextFileV2"):
        hub.ModuleLayer(hub.ModuleSpec(spec.files))


@pytest.mark.parametrize("name", golden_names("apply"))
def test_ordinary_modules_pass(name):
    golden = Golden(name)
    spec = hub.load_module_spec(golden.path)
    for tags in spec.get_tags():
        for signature in spec.get_signature_names(tags):
            hub.ModuleLayer(golden.path, tags=tags, signature=signature, as_dict=True)


@pytest.mark.parametrize(
    "op",
    ["WriteFile", "ReadFile", "PyFunc", "EagerPyFunc", "PyFuncStateless", "SaveV2", "RestoreV2",
     "TextLineDataset", "IteratorV2", "RpcServer", "Send", "_Recv", "DebugIdentityV3", "PrintV2",
     "DecodeProtoV2", "SqlDataset", "SummaryWriter", "XlaHostCompute", "RemoteCall",
     "WholeFileReaderV2", "GetSessionHandleV2", "LoadAndRemapMatrix", "XlaCallModule"],
)  # fmt: skip
def test_ops_that_reach_outside(op):
    assert not audit.keeps_to_itself(op)


@pytest.mark.parametrize(
    "op",
    ["MatMul", "VarHandleOp", "AssignSubVariableOp", "ResourceGather", "HashTableV2", "While",
     "LookupTableFindV2", "RandomUniform", "TruncatedNormal", "StatefulPartitionedCall",
     "TensorListStack", "StringSplit", "FusedBatchNormV3", "Assert", "ResourceScatterAdd"],
)  # fmt: skip
def test_ops_that_keep_to_themselves(op):
    assert audit.keeps_to_itself(op)


def test_load_model_refuses_an_unsafe_archive(tmp_path):
    def module_fn():
        x = v1.placeholder(tf.string, [None])
        hub.add_signature(inputs=x, outputs=tf.strings.join([x, tf.io.read_file("/etc/hostname")]))

    layer = hub.ModuleLayer(hub.create_module_spec(module_fn), safe_mode=False)
    keras.Sequential([keras.Input((), dtype="string"), layer]).save(tmp_path / "m.keras")
    del layer
    with pytest.raises(ValueError, match="it may reach outside its own graph"):
        keras.models.load_model(tmp_path / "m.keras")
    keras.models.load_model(tmp_path / "m.keras", safe_mode=False)
