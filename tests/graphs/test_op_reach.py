"""The reviewed list of ops, and what attributes change of it."""

import pytest
import tensorflow as tf
from tensorflow.core.framework import node_def_pb2

from hub_keras_bridge.graphs.ops.reach import Reach, reach_of, reach_of_op, reviewed_ops


def node(op, **attributes):
    made = node_def_pb2.NodeDef(name="node", op=op)
    for name, value in attributes.items():
        if isinstance(value, tf.DType):
            made.attr[name].type = value.as_datatype_enum
        else:
            made.attr[name].s = value
    return made


def test_the_list_uses_every_heading():
    assert set(reviewed_ops().values()) == set(Reach)


@pytest.mark.parametrize(
    ("kind", "ops"),
    [
        (Reach.COMPUTE, "MatMul Const StringSplit FusedBatchNormV3 TensorListStack Snapshot "
                        "ShardedFilename DecodeJpeg StatelessIf FastWordpieceTokenizeWithOffsets"),
        (Reach.STATE, "ReadVariableOp AssignSubVariableOp Assign ResourceGather ResourceApplyAdam "
                      "LookupTableFindV2 LookupTableExportV2 InitializeTableV2 RandomUniform While "
                      "StatefulPartitionedCall Assert Print DeviceIndex SentencepieceTokenizeOp"),
        (Reach.NAMED, "VarHandleOp VariableV2 HashTableV2 MutableDenseHashTableV2 SentencepieceOp"),
        (Reach.READS, "ReadFile RestoreV2 TextLineDataset WholeFileReaderV2 LoadAndRemapMatrix "
                      "GenerateVocabRemapping ImmutableConst Skipgram RecordInput MatchingFiles "
                      "SqlDataset InitializeTableFromTextFileV2"),
        (Reach.WRITES, "WriteFile SaveV2 MergeV2Checkpoints DebugIdentityV3 CacheDatasetV2 "
                       "CreateSummaryFileWriter WriteScalarSummary CalibrationStatisticsSaver"),
        (Reach.NETWORK, "RpcServer Send Recv CollectiveReduceV2 RemoteCall DataServiceDatasetV4"),
        (Reach.PYTHON, "PyFunc EagerPyFunc PyFuncStateless"),
        (Reach.PROCESS, "Abort Timestamp RangeDataset IteratorV2 Barrier FIFOQueueV2 Stage "
                        "GetSessionHandleV2 AddSparseToTensorsMap BatchFunction XlaLaunch "
                        "XlaCallModule XlaCustomCall ConfigureDistributedTPU CustomAggregator "
                        "InitializeTableFromDataset InplaceAdd FileSystemSetConfiguration"),
        (Reach.UNKNOWN, "_Recv _HostCast Unheard TestAttr MlirPassthroughOp"),
    ],
)  # fmt: skip
def test_kinds(kind, ops):
    assert {op: reach_of_op(op) for op in ops.split()} == dict.fromkeys(ops.split(), kind)


@pytest.mark.parametrize(
    ("op", "attribute", "inside", "outside", "kind"),
    [
        ("PrintV2", "output_stream", [b"stdout", b"stderr", b"log(info)"],
         [b"file:///etc/passwd", b"log(info)file://x", b""], Reach.WRITES),
        ("DecodeProtoV2", "descriptor_source", [b"local://", b"", b"bytes://\x0a"],
         [b"/etc/passwd", b"local:///etc", b"x/bytes://"], Reach.READS),
        ("EncodeProto", "descriptor_source", [b"local://"], [b"descriptors.pb"], Reach.READS),
        ("FixedUnigramCandidateSampler", "vocab_file", [b""], [b"/etc/passwd"], Reach.READS),
    ],
)  # fmt: skip
def test_ops_that_an_attribute_sends_outside(op, attribute, inside, outside, kind):
    assert reach_of(node(op)) is Reach.STATE  # the default, which publishing strips
    assert {reach_of(node(op, **{attribute: value})) for value in inside} == {Reach.STATE}
    assert {reach_of(node(op, **{attribute: value})) for value in outside} == {kind}


@pytest.mark.parametrize(
    ("op", "attribute"),
    [("Const", "dtype"), ("ParseTensor", "out_type"), ("DeserializeSparse", "dtype")],
)
def test_handles_out_of_bytes(op, attribute):
    assert reach_of(node(op, **{attribute: tf.string})) is Reach.COMPUTE
    assert reach_of(node(op, **{attribute: tf.resource})) is Reach.PROCESS
    assert reach_of(node(op, **{attribute: tf.variant})) is Reach.PROCESS


def test_looking_changes_nothing():
    looked_at = node("Const")
    reach_of(looked_at)
    assert looked_at == node("Const")


def test_print_to_a_file_is_what_the_list_says_it_is(tmp_path):
    """TensorFlow itself: the stream that is refused does write."""
    tf.raw_ops.PrintV2(input="text", output_stream=f"file://{tmp_path}/out")
    assert (tmp_path / "out").read_text() == "text\n"
