"""What the functions of a graph come to when every call is followed.

TensorFlow puts functions in place of their calls, without asking how far that
goes: where a function comes to call itself, or calls multiply, it runs out of
stack or never ends.
"""

from __future__ import annotations

from collections.abc import Mapping

from tensorflow.core.framework import function_pb2, graph_pb2, op_def_pb2

from hub_keras_bridge.errors import FormatError
from hub_keras_bridge.graphs.graph import is_control
from hub_keras_bridge.graphs.library import calls
from hub_keras_bridge.graphs.ops import definitions as op_facts

# TensorFlow 2.21 survives 10,000 calls (a function that calls another a hundred
# times, and so on), and runs out of stack at 16,000 (twice, 14 deep).
MOST_CALLS = 10_000

# Of a function's attributes, and of its arguments that are lists of tensors: each call
# of it is held against all of them.
_MOST_OPEN = 100


def check_calls(graph_def: graph_pb2.GraphDef, *, apart: bool = False) -> None:
    """Checks that the functions of a graph can be put in place of their calls.

    Args:
        graph_def: a graph with its functions.
        apart: whether each call of the graph runs by itself.

    Raises:
        FormatError: a function comes to call itself, there are too many calls,
            or a function is not well-formed.
    """
    functions = {function.signature.name: function for function in graph_def.library.function}
    signatures = {name: function.signature for name, function in functions.items()}
    for signature in signatures.values():
        _check_signature(signature)
    for function in functions.values():
        _check_body(function, signatures)
    counts = _calls_within(functions)
    each = [1 + counts[name] for name in calls(graph_def.node, functions)]
    if (max(each, default=0) if apart else sum(each)) > MOST_CALLS:
        raise _refused(f"at most {MOST_CALLS} calls of functions", "more than that")


def _calls_within(functions: Mapping[str, function_pb2.FunctionDef]) -> dict[str, int]:
    """Function -> how many calls one call of it comes to; of too many, how many are enough."""
    direct = {name: list(calls(f.node_def, functions)) for name, f in functions.items()}
    found: dict[str, int] = {}
    for start in functions:
        # By hand, since a row of calls may be longer than Python's stack.
        path = {start: iter(direct[start])}
        while path:
            name, callees = next(reversed(path.items()))
            callee = next((each for each in callees if each not in found), None)
            if callee is None:
                del path[name]
                # The numbers would get as many digits as there are functions.
                found[name] = min(sum(1 + found[each] for each in direct[name]), MOST_CALLS + 1)
            elif callee in path:
                raise _refused("functions that end", f"{callee!r} comes to call itself")
            else:
                path[callee] = iter(direct[callee])
    return found


def _check_signature(signature: op_def_pb2.OpDef) -> None:
    """Checks that little of a function is left to each of its calls."""
    lists = sum(bool(a.number_attr or a.type_list_attr) for a in signature.input_arg)
    if max(lists, len(signature.attr)) > _MOST_OPEN:
        raise _refused(
            f"at most {_MOST_OPEN} attributes, and arguments that are lists, of a function",
            f"{len(signature.attr)} and {lists} of {signature.name!r}",
        )


def _check_body(function: function_pb2.FunctionDef, signatures: op_facts.Signatures) -> None:
    """Checks what TensorFlow looks at only when it runs the function."""
    name = function.signature.name
    for node in function.node_def:
        wanted = op_facts.input_count(node, signatures)
        found = sum(not is_control(reference) for reference in node.input)
        if wanted != found:
            raise _refused(
                f"{wanted} inputs of node {node.name!r} in function {name!r}", f"{found} inputs"
            )


def _refused(expected: str, found: str) -> FormatError:
    return FormatError(
        "Cannot use the function library of a TF1 Hub module.",
        expected=expected,
        found=found,
        advice="fetch the module again; if it is intact, report this message",
    )
