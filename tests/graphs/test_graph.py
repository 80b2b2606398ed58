"""Names in a GraphDef, and what depends on what."""

import pytest
from tensorflow.core.framework import graph_pb2, node_def_pb2

from hub_keras_bridge import FormatError
from hub_keras_bridge.errors import Subject
from hub_keras_bridge.graphs.graph import (
    is_control,
    node_name,
    nodes_by_name,
    tensor_name,
    upstream,
)


def graph(**inputs):
    nodes = {
        name: node_def_pb2.NodeDef(name=name, op="Any", input=references.split())
        for name, references in inputs.items()
    }
    return nodes


@pytest.mark.parametrize(
    ("reference", "node", "tensor"),
    [
        ("a", "a", "a:0"),
        ("a:0", "a", "a:0"),
        ("scope/a_1:12", "scope/a_1", "scope/a_1:12"),
    ],
)
def test_names(reference, node, tensor):
    assert node_name(reference) == node
    assert tensor_name(reference) == tensor
    assert not is_control(reference)


def test_name_of_a_control_edge():
    assert node_name("^scope/a") == "scope/a"
    assert is_control("^scope/a")


def test_nodes_by_name_are_the_nodes_themselves():
    graph_def = graph_pb2.GraphDef()
    node = graph_def.node.add(name="a", op="NoOp")
    assert nodes_by_name(graph_def) == {"a": node}
    nodes_by_name(graph_def)["a"].op = "Const"
    assert node.op == "Const"


def test_upstream_follows_values_and_control_edges():
    nodes = graph(a="", b="a:1", c="b ^d", d="", e="c")
    assert upstream(nodes, ["c:0"]) == {"a", "b", "c", "d"}
    assert upstream(nodes, ["b", "d"]) == {"a", "b", "d"}
    assert upstream(nodes, []) == set()


def test_upstream_goes_round_a_loop():
    nodes = graph(enter="", merge="enter next", next="merge")
    assert upstream(nodes, ["next"]) == {"enter", "merge", "next"}


def test_upstream_is_deeper_than_the_recursion_limit():
    chain = {f"n{i}": f"n{i - 1}" if i else "" for i in range(5000)}
    assert len(upstream(graph(**chain), ["n4999"])) == 5000


def test_cut_tensors_are_not_followed():
    nodes = graph(a="", b="a", c="b")
    assert upstream(nodes, ["c"], {"b:0"}) == {"c"}
    assert upstream(nodes, ["b:0"], {"b:0"}) == set()


def test_one_output_cut_leaves_the_others():
    nodes = graph(a="", split="a", c="split:1", d="split")
    assert upstream(nodes, ["c", "d"], {"split:1"}) == {"a", "split", "c", "d"}
    assert upstream(nodes, ["c"], {"split:1"}) == {"c"}


def test_nothing_waits_for_a_cut_node():
    nodes = graph(fed="effect", effect="", c="^fed")
    assert upstream(nodes, ["c"], {"fed:0"}) == {"c"}
    assert upstream(nodes, ["c"]) == {"c", "fed", "effect"}


@pytest.mark.parametrize("reference", ["gone:0", "^gone", "gone"])
def test_a_missing_node_is_named_with_its_module(reference):
    subject = Subject("/some/module", frozenset({"train"}))
    with pytest.raises(FormatError) as caught:
        upstream(graph(a=reference), ["a"], (), subject)
    message = str(caught.value)
    for part in ("a node is missing", "'gone'", "/some/module", "{'train'}", "damaged"):
        assert part in message


def test_a_missing_target_is_named():
    with pytest.raises(FormatError, match="'nowhere'"):
        upstream(graph(a=""), ["nowhere:0"])
