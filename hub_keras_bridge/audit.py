"""What a graph can touch outside itself: files, network, Python, other devices.

A module is a program that someone else wrote. Most ops compute outputs from
inputs; the few that do more are found here by rule, from the registered
definition of each op, so that an op that nobody has thought of is refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from tensorflow.core.framework import node_def_pb2

from hub_keras_bridge import compat, graph
from hub_keras_bridge.errors import Subject, UnsafeModuleError
from hub_keras_bridge.plan import Plan

# Ops that TensorFlow declares stateful, and whose state is their own: it lives
# in the graph's variables, tables and random generators.
_OWN_STATE = re.compile(
    r"""
    ( VarHandleOp | VarIsInitializedOp | DestroyResourceOp
    | (Read|Assign|AssignAdd|AssignSub)VariableOp | VariableShape
    | Resource(Gather|Scatter|StridedSliceAssign|CountUpTo).*
    | (Anonymous|Mutable|MutableDense|)HashTable(OfTensors)?(V2)?
    | LookupTable.* | InitializeTableV2?
    | Random(Uniform|UniformInt|StandardNormal|Gamma|Poisson|PoissonV2|Shuffle|Crop)
    | TruncatedNormal | ParameterizedTruncatedNormal | Multinomial | .*CandidateSampler
    | StatelessRandomGetAlg | NonDeterministicInts | SampleDistortedBoundingBox(V2)?
    | RngSkip | RngReadAndSkip
    | Stateful(StandardNormal|Uniform|UniformInt|TruncatedNormal|RandomBinomial).*
    | If | While | Case | StatefulPartitionedCall
    | Assert | Print | CheckNumerics(V2)? | GuaranteeConst | Empty | DeepCopy
    | TensorArray.* | Stack(V2|Push|PushV2|Pop|PopV2|Close|CloseV2)? | CudnnRNN.*
    | (Add|AddMany|TakeMany)SparseToTensorsMap | TakeManySparseFromTensorsMap
    )""",
    re.VERBOSE,
)

# Ops that TensorFlow declares stateless, though they reach outside.
_OUTSIDE = re.compile(
    r"""
    ( .*(File|Dataset|Iterator|Reader|Snapshot|PyFunc|Host|Tpu|TPU|Debug|Sql|Rpc).*
    | (Decode|Encode)Proto.* | _?(Send|Recv).*
    )""",
    re.VERBOSE,
)
# ... and the names among these that do not.
_INSIDE = frozenset({"ShardedFilename", "ShardedFilespec"})

_VOCABULARY_READERS = frozenset({"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"})


@dataclass(frozen=True)
class Finding:
    """A node that may reach outside its graph."""

    node: str
    op: str


def findings(plan: Plan) -> list[Finding]:
    """The nodes of a plan, and of the functions it calls, that may reach outside.

    Filling a table from a file under the module's own ``assets/`` is allowed.
    """
    own_files = {graph.node_name(p) for placeholders in plan.assets.values() for p in placeholders}
    library = plan.graph_def.library
    functions = {function.signature.name for function in library.function}
    found = _findings(plan.graph_def.node, functions, own_files)
    for function in library.function:
        found.extend(_findings(function.node_def, functions, ()))
    return found


def require_safe(plans: Iterable[Plan], subject: Subject) -> None:
    """Refuses plans that may reach outside their graphs.

    Raises:
        UnsafeModuleError: with the names of the nodes.
    """
    found = sorted({f"{f.node} ({f.op})" for plan in plans for f in findings(plan)})
    if found:
        raise UnsafeModuleError(
            "Refused a TF1 Hub module in safe mode: it may reach outside its own graph.",
            subject,
            expected="ops that compute from inputs, weights and vocabularies alone",
            found=", ".join(found[:20]) + (f" and {len(found) - 20} more" if found[20:] else ""),
            advice="look at these nodes; if you trust the publisher, pass safe_mode=False",
        )


def keeps_to_itself(op: str) -> bool:
    """Whether an op has no effect and no source outside its graph.

    >>> keeps_to_itself("MatMul"), keeps_to_itself("WriteFile"), keeps_to_itself("Unheard")
    (True, False, False)
    """
    definition = compat.op_def(op)
    if definition is None:
        return False
    if definition.is_stateful:
        return bool(_OWN_STATE.fullmatch(op))
    return op in _INSIDE or not _OUTSIDE.fullmatch(op)


def _findings(
    nodes: Iterable[node_def_pb2.NodeDef], functions: Collection[str], own_files: Collection[str]
) -> list[Finding]:
    return [
        Finding(node.name, node.op)
        for node in nodes
        if node.op not in functions
        and not keeps_to_itself(node.op)
        and not _reads_own_vocabulary(node, own_files)
    ]


def _reads_own_vocabulary(node: node_def_pb2.NodeDef, own_files: Collection[str]) -> bool:
    return node.op in _VOCABULARY_READERS and graph.node_name(node.input[1]) in own_files
