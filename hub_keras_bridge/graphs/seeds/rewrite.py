"""A graph whose random ops draw from their own state, as one that takes a seed.

Each op gets numbers of its own out of the one seed: by its name, by the names of the
calls that lead to it, and in a loop by the turn. So the order in which ops run does not
matter, and an op draws the same in whatever part of a graph it is.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2, types_pb2

from hub_keras_bridge.graphs import graph
from hub_keras_bridge.graphs.bodies import add_function, opened
from hub_keras_bridge.graphs.calling import Call
from hub_keras_bridge.graphs.control_flow.subgraph import (
    Body,
    Irregular,
    Library,
    argument,
    constant,
    unique,
)
from hub_keras_bridge.graphs.library import callees_first, calls
from hub_keras_bridge.graphs.seeds.twins import TWINS, from_seed, is_random

_Nodes = dict[str, node_def_pb2.NodeDef]

_DTYPE, _SHAPE = types_pb2.DT_INT32, tf.TensorShape([2]).as_proto()


class NoSeed(Exception):
    """Something draws random numbers that cannot be told from which seed."""


def take_seed(graph_def: graph_pb2.GraphDef) -> str | None:
    """Rewrites a graph; its nodes keep their names.

    Args:
        graph_def: changed in place. It has no control flow of TensorFlow 1.

    Returns:
        Placeholder for the seed, two numbers of int32; None where nothing is random.

    Raises:
        NoSeed: something is random that no seed can be given to.
    """
    library = Library(graph_def.library.function)
    seeded = _Seeded(library)
    try:
        for function in callees_first(graph_def.library):
            if seeded.is_needed(function.node_def):
                seeded.add(function.signature.name, opened(function, library.signatures))
        if not seeded.is_needed(graph_def.node):
            return None
        nodes = graph.nodes_by_name(graph_def)
        known = set(nodes)
        seed = unique("seed", nodes)
        nodes[seed] = _placeholder(seed)
        seeded.rewrite(nodes, f"{seed}:0")
    except Irregular as error:
        raise NoSeed(str(error)) from error
    graph_def.node.extend(node for name, node in nodes.items() if name not in known)
    del graph_def.library.function[:]
    graph_def.library.function.extend(library.functions)
    return f"{seed}:0"


class _Seeded:
    """The functions that draw, as such that take a seed behind their other arguments.

    Args:
        library: of the graph; those that are made are added to it.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._bodies: dict[str, Body] = {}
        self._made: dict[tuple[str, bool], str] = {}

    def is_needed(self, nodes: Iterable[node_def_pb2.NodeDef]) -> bool:
        """Whether some of the nodes are random, or call what is."""
        return any(is_random(n) or any(calls([n], self._bodies)) for n in nodes)

    def add(self, name: str, body: Body | None) -> None:
        """Adds a function that draws; those that it calls are there."""
        if body is None:
            raise NoSeed(f"function {name!r}, whose arguments differ by call")
        self.rewrite(body.nodes, _given_seed(body))
        self._bodies[name] = body

    def rewrite(self, nodes: _Nodes, seed: str) -> None:
        """Has all that is random among some nodes take numbers of a seed.

        Args:
            nodes: a graph or a function's body by name, changed.
            seed: a tensor of it.
        """
        for node in list(nodes.values()):
            if is_random(node):
                if node.op not in TWINS:
                    raise NoSeed(f"{node.name!r} ({node.op})")
                own = _moved(nodes, seed, node.name)
                graph.rewrite_node(nodes, node, functools.partial(from_seed, seed=own))
            elif any(calls([node], self._bodies)):
                self._call(node, _moved(nodes, seed, node.name))

    def _call(self, node: node_def_pb2.NodeDef, seed: str) -> None:
        call = Call.of(node, self._library.signatures.keys())
        if call is None:
            raise NoSeed(f"what {node.name!r} ({node.op}) calls")
        last = len(call.functions) - 1
        call.functions = [
            self._function(name, turns=call.is_loop and position == last)
            for position, name in enumerate(call.functions)
        ]
        call.add(seed, _DTYPE, _SHAPE)

    def _function(self, name: str, *, turns: bool) -> str:
        """The function that takes a seed; of a loop's body one that returns the next."""
        key = name, turns
        if key not in self._made:
            body = self._bodies.get(name) or self._drawing_nothing(name)
            results = list(body.results)
            if turns:
                results.append(_moved(body.nodes, f"{body.arguments[-1]}:0", "next turn"))
            whole = Body(dict(body.nodes), body.arguments, results)
            function = add_function(f"{name}_of_seed", whole, self._library)
            self._made[key] = function.signature.name
        return self._made[key]

    def _drawing_nothing(self, name: str) -> Body:
        """Of a function that is called where another one draws: the seed is not read."""
        functions = {f.signature.name: f for f in self._library.functions}
        body = opened(functions[name], self._library.signatures)
        if body is None:
            raise NoSeed(f"function {name!r}, whose arguments differ by call")
        _given_seed(body)
        return body


def _given_seed(body: Body) -> str:
    name = unique("seed", body.nodes)
    body.nodes[name] = _placeholder(name)
    body.arguments.append(name)
    return f"{name}:0"


def _placeholder(name: str) -> node_def_pb2.NodeDef:
    node = argument(name, _DTYPE)
    node.attr["shape"].shape.CopyFrom(_SHAPE)
    return node


def _moved(nodes: _Nodes, seed: str, name: str) -> str:
    """A seed apart from all others that come from the same one.

    Args:
        nodes: where it is computed; changed.
        seed: where from.
        name: what for.
    """
    digest = hashlib.sha256(name.encode()).digest()
    # That a loop comes round to no seed that it had.
    numbers = np.frombuffer(digest[:8], "<i4") | np.array([1, 0], np.int32)
    prefix = name.replace(" ", "_")
    by = constant(unique(f"{prefix}/seed_by", nodes), numbers, _DTYPE)
    nodes[by.name] = by
    own = node_def_pb2.NodeDef(
        name=unique(f"{prefix}/seed", nodes), op="AddV2", input=[seed, by.name]
    )
    own.attr["T"].type = _DTYPE
    nodes[own.name] = own
    return f"{own.name}:0"
