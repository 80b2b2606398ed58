"""The rule by which an op came under its heading in ``reviewed_ops.txt``.

It reads an op's registered definition: first what the families of its name are
known to do, then what its signature tells (state by name, by handle or by
reference, words for files and addresses), then whether TensorFlow declares it
stateful. The list is the outcome, reviewed, and what counts at run time; the
rule lets a test compare the two, and proposes a heading for a new op.
"""

from __future__ import annotations

import re

from tensorflow.core.framework import op_def_pb2

from hub_keras_bridge.graphs.ops.reach import Reach


def _family(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.VERBOSE)


# The first family that has the whole name decides.
_FAMILIES: tuple[tuple[Reach, re.Pattern[str]], ...] = (
    # What TensorFlow's optimizers and runtime write into graphs, for themselves.
    (Reach.UNKNOWN, _family(r"_.*")),
    # What TensorFlow's tests register, what has no kernel, and what tells of the
    # process's settings.
    (
        Reach.UNKNOWN,
        _family(
            r"""
            A | B | (Attr|TestAttr).* | Binary | ComplexStruct | ConstructionFails | CopyOp
            | DefaultAttrs | DevicePlacementOp | DtypeWithDefaultOp | FakeQueue | FiveFloatOutputs
            | (Float|Int|Int64)(Attr|Input|Output).* | Foo\d | FuncAttr | FuncListAttr
            | GetDeadline | GraphDefVersion | InPolymorphicTwice | KernelLabel.* | List(In|Out)put
            | MixedStruct | N(In|Ints|Polymorphic).* | Namespace>.* | None | Old | CheckPinned
            | OpWith.*DefaultAttr | OutT | OutTypeList.* | Polymorphic.* | Ref(In|Out)(put.*)?
            | RequiresOlderGraphVersion | Reserved.* | Resource(Create|Initialized|Using)Op
            | Restrict | Simple(Struct)? | Sleep.*Op | StringListAttr | StubResourceHandleOp
            | TestStringOutput | Two(Float|Int|Refs).* | TypeList.* | Unary
            | IsResourceHandleRefCounting | IsTensorFloat32Enabled | MakeWeakResourceHandle
            | Risc.* | MlirPassthroughOp
            """
        ),
    ),
    # TensorRT: an engine is a program of its own, and a resource may be a file.
    (Reach.UNKNOWN, _family(r".*TRT(Engine|Resource).* | GetCalibrationDataOp")),
    (Reach.PYTHON, _family(r".*PyFunc.*")),
    (
        Reach.NETWORK,
        _family(
            r"""
            Send | Recv | Collective(?!Permute).* | Nccl.* | .*Rpc.* | RemoteCall
            | DataServiceDataset.* | RegisterDataset.* | DistributedSave
            """
        ),
    ),
    (
        Reach.WRITES,
        _family(
            r"""
            WriteFile | Save | SaveSlices | SaveV2 | MergeV2Checkpoints | SaveDataset.*
            | .*DatasetToTFRecord | Snapshot.*Dataset.* | CacheDataset.* | DumpTensor | PrintV2
            | CalibrationStatisticsSaver | .*SummaryWriter | CreateSummary.*Writer | ImportEvent
            | Write.*Summary | Debug(Identity|NanCount).* | DebugNumericSummary
            """
        ),
    ),
    (
        Reach.READS,
        _family(
            r"""
            ReadFile | MatchingFiles | (DTensor)?Restore.* | LoadAndRemapMatrix
            | GenerateVocabRemapping | ImmutableConst | InitializeTableFromTextFile.*
            | FixedUnigramCandidateSampler | (De|En)codeProto.* | Skipgram | RecordInput
            | .*Reader(V2)? | Reader.* | LoadDataset | ListSnapshotChunksDataset
            | (Experimental)?(TextLine|FixedLengthRecord|TFRecord|CSV|LMDB|Sql|MatchingFiles)
              Dataset.*
            """
        ),
    ),
    # Pipelines of tf.data: threads, caches and iterators of their own.
    (
        Reach.PROCESS,
        _family(
            r"""
            .*Dataset.* | .*Iterator.* | .*(SeedGenerator|MemoryCache|IterationCounter)
            | .*ThreadPoolHandle | .*StatsAggregator.* | GetElementAtIndex | GetOptions
            | (Unc|C)ompressElement | WindowOp
            """
        ),
    ),
    # What lives in the process under a name, for whoever knows the name.
    (
        Reach.PROCESS,
        _family(
            r"""
            .*Queue.* | Barrier.* | (Ordered)?Map(Stage|Unstage|Peek|Size|IncompleteSize|Clear).*
            | Stage.* | Unstage | .*Accumulator.* | .*Mutex.* | Batch | BatchFunction
            | Unbatch(Grad)? | .*SparseToTensorsMap | TakeManySparseFromTensorsMap
            | (Get|Delete)Session.* | CustomAggregator
            """
        ),
    ),
    # Accelerators, and code that is not in the graph.
    (
        Reach.PROCESS,
        _family(
            r"""
            .*(TPU|Tpu).* | .*(Infeed|Outfeed|Prelinearize).* | .*Dedup.* | .*SparseCore.*
            | .*(Minibatch|CooTensor).* | UpdateTaskId.* | GlobalIterId | WorkerHeartbeat
            | SyncDevice | DTensor.* | Relayout.* | CopyToMesh.* | Copy | CopyHost
            | CrossReplicaSum | AllToAll | CollectivePermute | XlaAllReduce | XlaReduceScatter
            | XlaReplicaId | Xla(Send|Recv).* | XlaHostCompute | XlaSparse.* | XlaLaunch.*
            | XlaCallModule | XlaCustomCall.* | XlaClusterOutput | XlaDequantize | TfLite.*
            """
        ),
    ),
    # Its end, its clock, its file systems; and writes into a tensor that the
    # caller, or a variable, still holds.
    (
        Reach.PROCESS,
        _family(r"Abort | Timestamp | FileSystemSetConfiguration | Inplace(Add|Sub|Update)"),
    ),
    # Stateful for TensorFlow: effects that stay inside, and random numbers.
    (
        Reach.STATE,
        _family(
            r"""
            (Read|Assign|AssignAdd|AssignSub)Variable(Op|Xla.*) | VarIsInitializedOp
            | VariableShape | DestroyResourceOp | DisableCopyOnRead | TemporaryVariable
            | Resource(Sparse)?(Apply|Gather|Scatter|StridedSliceAssign|CountUpTo).*
            | Anonymous.*HashTable.* | LookupTable.*V2 | InitializeTableV2
            | Random(Crop|Gamma|Poisson|Shuffle|StandardNormal|Uniform).* | .*TruncatedNormal
            | Multinomial | .*CandidateSampler | NonDeterministicInts | Rng(Skip|ReadAndSkip)
            | SampleDistortedBoundingBox.* | Stateful(RandomBinomial|StandardNormal|Uniform).*
            | StatelessRandomGetAlg | If | While | Case | StatefulPartitionedCall | Xla(If|While)
            | Assert | Print | CheckNumerics.* | GuaranteeConst | Empty | DeepCopy | DeviceIndex
            | TensorArray.* | Stack(V2|(Push|Pop|Close)V2)? | CudnnRNN.*
            | (Is)?BoostedTrees(?!.*HandleOp).* | Sentencepiece.+Op | WordpieceTokenizeWithOffsets
            """
        ),
    ),
    # Speak of files, and only spell names.
    (Reach.COMPUTE, _family(r"ShardedFilename | ShardedFilespec")),
)

_OUTSIDE_WORDS = re.compile(r"(.*_)?(file(_?name)?s?|path|dir|urls?|address|prefix(es)?|protocol)")


def derive_reach(op: op_def_pb2.OpDef) -> Reach:
    """What the rule says of an op, from its registered definition."""
    for reach, family in _FAMILIES:
        # Pure ops among a stateful family's names are told by TensorFlow's flag.
        if family.fullmatch(op.name) and (reach is not Reach.STATE or op.is_stateful):
            return reach
    if any(attribute.name == "shared_name" for attribute in op.attr):
        return Reach.NAMED
    if any(argument.is_ref for argument in op.input_arg):
        return Reach.STATE
    words = [declared.name for group in (op.input_arg, op.attr) for declared in group]
    if op.is_stateful or any(_OUTSIDE_WORDS.fullmatch(word) for word in words):
        return Reach.UNKNOWN
    return Reach.COMPUTE
