"""Each random op that keeps a state, as one that computes its numbers from a seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from tensorflow.core.framework import node_def_pb2, types_pb2

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.graphs.control_flow.on_value import set_types
from hub_keras_bridge.graphs.control_flow.subgraph import constant
from hub_keras_bridge.graphs.graph import is_control
from hub_keras_bridge.graphs.ops import definitions as op_facts

_Node: TypeAlias = node_def_pb2.NodeDef
_Twin: TypeAlias = Callable[[_Node, str], list[_Node]]

_INT32, _INT64 = types_pb2.DT_INT32, types_pb2.DT_INT64
_SEEDS = frozenset({"seed", "seed2"})
# Random, though TensorFlow takes them for functions of their inputs.
_UNDECLARED = frozenset({"FractionalMaxPool", "FractionalAvgPool"})


def is_random(node: _Node) -> bool:
    """Whether a node draws numbers from a state that its op keeps."""
    op = private_tf.op_def(node.op)
    if op is None or not {declared.name for declared in op.attr} >= _SEEDS:
        return False
    if any(declared.name == "dropout" for declared in op.attr):
        return op_facts.attribute(node, op, "dropout").f > 0
    return op.is_stateful or node.op in _UNDECLARED


def from_seed(node: _Node, seed: str) -> list[_Node]:
    """Makes of an op of ``TWINS`` one with the same outputs that takes a seed; changes it.

    Args:
        node: the op.
        seed: tensor of its own two numbers, int32.

    Returns:
        The nodes that it needs besides.
    """
    controls = [reference for reference in node.input if is_control(reference)]
    del node.input[len(node.input) - len(controls) :]
    besides = TWINS[node.op](node, seed)
    node.input.extend(controls)
    return besides


def _by(op: str, index: int, dtypes: dict[str, str]) -> _Twin:
    """The op that takes the seed as one more input.

    Args:
        op: its name.
        index: where the seed is among its inputs.
        dtypes: its attributes -> those of the op before.
    """

    def twin(node: _Node, seed: str) -> list[_Node]:
        known = op_facts.definition(node, {})
        types = {new: op_facts.attribute(node, known, old).type for new, old in dtypes.items()}
        node.op = op
        node.input.insert(index, seed)
        set_types(node, Tseed=_INT32, **types)
        return []

    return twin


def _for_each(parameter: str, twin: _Twin) -> _Twin:
    """The op to which the shape is that of all its numbers, not of those for each parameter."""

    def with_shape(node: _Node, seed: str) -> list[_Node]:
        known = op_facts.definition(node, {})
        integer = op_facts.attribute(node, known, "S").type
        shape = _Node(name=f"{node.name}/each", op="Shape", input=[node.input[1]])
        set_types(shape, T=op_facts.attribute(node, known, parameter).type, out_type=integer)
        axis = constant(f"{node.name}/axis", 0, _INT32)
        whole = _Node(
            name=f"{node.name}/shape", op="ConcatV2", input=[node.input[0], shape.name, axis.name]
        )
        set_types(whole, T=integer, Tidx=_INT32)
        whole.attr["N"].i = 2
        node.input[0] = whole.name
        return [shape, axis, whole, *twin(node, seed)]

    return with_shape


def _shuffle(node: _Node, seed: str) -> list[_Node]:
    """Takes the rows in the order of as many random numbers."""
    value, dtype = node.input[0], node.attr["T"].type
    besides: dict[str, _Node] = {}

    def add(name: str, op: str, *inputs: str, **types: int) -> str:
        made = besides[name] = _Node(name=f"{node.name}/{name}", op=op, input=inputs)
        set_types(made, **types)
        return made.name

    def number(name: str, *value: int) -> str:
        made = besides[name] = constant(f"{node.name}/{name}", list(value), _INT32)
        return made.name

    shape = add("shape", "Shape", value, T=dtype, out_type=_INT32)
    types = {"T": _INT32, "Index": _INT32}
    rows = add(
        "rows", "StridedSlice", shape, number("from", 0), number("to", 1), number("by", 1), **types
    )
    besides["axis"] = constant(f"{node.name}/axis", 0, _INT32)
    count = add("count", "Squeeze", rows, T=_INT32)
    full = "StatelessRandomUniformFullInt"
    drawn = add("numbers", full, rows, seed, dtype=_INT64, T=_INT32, Tseed=_INT32)
    order = add("order", "TopKV2", drawn, count, T=_INT64, Tk=_INT32, index_type=_INT32)
    # TensorFlow has no gradient for a shuffle.
    stopped = add("value", "StopGradient", value, T=dtype)
    node.op = "GatherV2"
    node.input[:] = [stopped, f"{order}:1", besides["axis"].name]
    set_types(node, Tparams=dtype, Tindices=_INT32, Taxis=_INT32)
    return list(besides.values())


def _box(node: _Node, seed: str) -> list[_Node]:
    node.op = "StatelessSampleDistortedBoundingBox"
    node.input.append(seed)
    for name in _SEEDS:
        node.attr.pop(name, None)
    node.attr["Tseed"].type = _INT32
    return []


_DTYPE_AND_T = {"dtype": "dtype", "T": "T"}
_poisson = _by("StatelessRandomPoisson", 1, {"Rtype": "R", "dtype": "dtype", "T": "S"})
TWINS: dict[str, _Twin] = {
    "RandomUniform": _by("StatelessRandomUniform", 1, _DTYPE_AND_T),
    "RandomUniformInt": _by("StatelessRandomUniformInt", 1, {"dtype": "Tout", "T": "T"}),
    "RandomStandardNormal": _by("StatelessRandomNormal", 1, _DTYPE_AND_T),
    "TruncatedNormal": _by("StatelessTruncatedNormal", 1, _DTYPE_AND_T),
    "Multinomial": _by("StatelessMultinomial", 2, {"T": "T", "output_dtype": "output_dtype"}),
    "RandomGamma": _for_each("T", _by("StatelessRandomGammaV2", 1, {"dtype": "T", "T": "S"})),
    "RandomPoissonV2": _for_each("R", _poisson),
    "RandomShuffle": _shuffle,
    "SampleDistortedBoundingBoxV2": _box,
}
