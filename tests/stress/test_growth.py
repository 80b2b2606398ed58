"""How the time that a walk takes grows with what it walks over: in proportion, or it is refused.

A module may be made by hand so that a walk which is quick on any graph of a publisher's
takes hours. What is counted here are the lines of this package that run: for four
times as much to look at, not many more than four times as many.
"""

import io
import pathlib
import sys
import time

import pytest
from rich.console import Console
from tensorflow.core.framework import types_pb2

import hub_keras_bridge as hub
from helpers import large_graphs
from hub_keras_bridge.errors import HubError, Subject
from hub_keras_bridge.errors.words import choices, show_tags
from hub_keras_bridge.facts import partitions
from hub_keras_bridge.files import snappy
from hub_keras_bridge.files.checkpoint_table import Damaged, read_entries
from hub_keras_bridge.graphs import (
    batch_norm,
    calls,
    colocation,
    contexts,
    graph,
    legacy,
    prune,
    published,
    sparse_lookup,
)
from hub_keras_bridge.graphs.control_flow import Irregular, functionalize
from hub_keras_bridge.publishing.common_signatures import check_common_signature
from hub_keras_bridge.tools.inspect.inspection import inspect_module
from hub_keras_bridge.tools.inspect.page import render_page
from hub_keras_bridge.tools.inspect.text import format_summary

PACKAGE = str(pathlib.Path(hub.__file__).parent)
SMALL = 50


def lines_of(walk):
    """How many lines of the package a walk runs; one that refuses has run some, too."""
    count = 0

    def trace(frame, event, _):
        nonlocal count
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        walk()
    except (HubError, Irregular, Damaged):
        pass
    finally:
        sys.settrace(before)
    return count


def check_growth(make, walk):
    """Makes something of two sizes and walks over both."""
    small, large = make(SMALL), make(4 * SMALL)
    few, many = lines_of(lambda: walk(small)), lines_of(lambda: walk(large))
    assert few > 0
    assert many < 6 * few, f"{few} lines for {SMALL}, {many} for {4 * SMALL}"


def signature_of(large):
    return large.meta_graph.signature_def["default"]


def wanted(large):
    return [info.name for info in signature_of(large).outputs.values()]


def given(large):
    return [info.name for info in signature_of(large).inputs.values()]


def functions_of(large, handles=()):
    return functionalize(large.graph_def, wanted(large), handles)


ON_GRAPHS = {
    "upstream": (
        [large_graphs.chain, large_graphs.control_chain, large_graphs.inputs_of_a_signature],
        lambda large: graph.upstream(large.nodes, wanted(large), given(large)),
    ),
    "handed_on": (
        [large_graphs.chain],
        lambda large: graph.handed_on(large.nodes, {"x:0"}),
    ),
    "prune": (
        [large_graphs.chain, large_graphs.control_chain, large_graphs.inputs_of_a_signature],
        lambda large: prune.prune(
            large.graph_def, wanted(large), {t: prune.Placeholder(1) for t in given(large)}
        ),
    ),
    "check_calls": (
        [
            large_graphs.functions_in_a_row,
            large_graphs.functions_that_one_calls,
            large_graphs.functions_that_call_the_next_twice,
        ],
        lambda large: calls.check_calls(large.graph_def),
    ),
    "modernize": (
        [
            large_graphs.references_in_a_row,
            large_graphs.references_published,
            large_graphs.contexts,
        ],
        lambda large: legacy.modernize(large.meta_graph),
    ),
    "contexts": (
        [large_graphs.contexts],
        lambda large: (
            contexts.undifferentiated_loops(large.meta_graph),
            contexts.has_nested_loops(large.meta_graph),
        ),
    ),
    "batch_norm": (
        [large_graphs.normalizations_of_one_kernel],
        lambda large: batch_norm.fold(large.graph_def, {"v": (1, 1, 1, 1)}, wanted(large)),
    ),
    "sparse_lookup": (
        [large_graphs.chain],
        lambda large: sparse_lookup.keep(large.graph_def, {}),
    ),
    "colocation": (
        [large_graphs.chain],
        lambda large: colocation.take_out(large.graph_def, ()),
    ),
    "functionalize": (
        [
            large_graphs.conditionals_in_a_row,
            large_graphs.merges_of_a_conditional,
            large_graphs.effects_in_conditionals,
            large_graphs.outputs_of_a_node_in_a_conditional,
            large_graphs.loops_in_a_row,
            large_graphs.variables_of_a_loop,
            large_graphs.gathers_by_one_index,
        ],
        functions_of,
    ),
    "functionalize reads": (
        [large_graphs.reads_in_a_conditional],
        lambda large: functions_of(large, ["v:0"]),
    ),
    "published": (
        [large_graphs.chain, large_graphs.variables, large_graphs.assets],
        lambda large: (
            published.state(large.meta_graph, "m/", trainable=True),
            published.application(large.meta_graph, "m/", trainable=True),
        ),
    ),
    "facts": (
        [large_graphs.variables, large_graphs.slices, large_graphs.assets],
        lambda large: (large.spec().variables, large.spec().variant(()).assets),
    ),
}


@pytest.mark.parametrize(
    ("walk", "make"),
    [
        pytest.param(walk, make, id=f"{name}-{make.__name__}")
        for name, (makers, walk) in ON_GRAPHS.items()
        for make in makers
    ],
)
def test_walks_over_graphs(walk, make):
    check_growth(make, walk)


def as_text(spec):
    console = Console(highlight=False, width=80, file=io.StringIO())
    return format_summary(inspect_module(spec), console)


@pytest.mark.parametrize(
    "show",
    [
        lambda spec: inspect_module(spec),
        lambda spec: render_page(inspect_module(spec)),
        as_text,
        lambda spec: spec._repr_html_(),
        lambda spec: [check_common_signature(spec, kind) for kind in ("text-embedding",)],
    ],
    ids=["inspect", "page", "text", "notebook", "common signature"],
)
@pytest.mark.parametrize(
    "make",
    [
        large_graphs.variables,
        large_graphs.slices,
        large_graphs.scopes_in_a_name,
        large_graphs.assets,
        large_graphs.attachments,
        large_graphs.outputs,
        large_graphs.variants,
    ],
    ids=lambda make: make.__name__,
)
def test_what_is_shown_of_a_module(make, show, tmp_path):
    (tmp_path / "file").write_text("")

    def spec(count):
        made = make(count)
        if isinstance(made, hub.ModuleSpec):
            return made
        files = {f"{number}.txt": str(tmp_path / "file") for number in range(count)}
        return made.spec(**files) if make is large_graphs.assets else made.spec()

    check_growth(spec, show)


def test_a_hundred_thousand_are_looked_at_in_seconds():
    """What Python does without running a line is not counted above."""
    count = 100_000
    started = time.process_time()
    graph.upstream(large_graphs.inputs_of_a_signature(count // 10).nodes, ["sum"], ["x0:0"])
    calls.check_calls(large_graphs.functions_in_a_row(count // 10).graph_def)
    assert partitions.fault([count], [((number,), (1,)) for number in range(count)]) is None
    assert len(choices(map(str, range(count)))) < 1000
    assert time.process_time() - started < 20


class TestRecursion:
    """What Python would follow until its stack ends, which is no error of a graph."""

    def test_references(self):
        meta_graph = legacy.modernize(large_graphs.references_in_a_row(5000).meta_graph)
        assert "RefIdentity" not in {node.op for node in meta_graph.graph_def.node}

    def test_hoisted_reads(self):
        found, _ = functions_of(large_graphs.reads_in_a_conditional(5000), ["v:0"])
        assert {node.op for node in found.node} >= {"StatelessIf", "ReadVariableOp"}


class TestLimits:
    def test_nodes_that_all_branches_share(self):
        with pytest.raises(Irregular, match="too many branches or loops depend on the same nodes"):
            functions_of(large_graphs.branches_that_share(500))

    @pytest.mark.parametrize("kind", ["attributes", "lists"])
    def test_what_a_function_leaves_to_its_calls(self, kind):
        large = large_graphs.functions_in_a_row(2)
        signature = large.graph_def.library.function[1].signature
        for number in range(101):
            if kind == "attributes":
                signature.attr.add(name=f"T{number}", type="type")
            else:
                signature.input_arg.add(name=f"list_{number}", type_list_attr="T")
        with pytest.raises(hub.FormatError, match="at most 100 attributes, and arguments that"):
            calls.check_calls(large.graph_def)

    def test_outputs_of_a_function_beside_control_flow(self):
        large = large_graphs.conditionals_in_a_row(1)
        large.function("f")
        for number in range(1000):
            large.graph_def.library.function[0].signature.output_arg.add(name=f"z{number}")
        with pytest.raises(Irregular, match="function 'f' has 1001 outputs"):
            functions_of(large)

    def test_conditionals(self):
        with pytest.raises(Irregular, match="more than 4000 branches and parts of loops"):
            functions_of(large_graphs.conditionals_in_a_row(2001))

    def test_loops_in_loops(self):
        large = large_graphs.Large()
        last = "x"
        for number in range(66):
            frame = f"w{number}"
            last = large.add(f"{frame}/enter", "Enter", last, T=1, frame_name=frame.encode())
        for number in range(66):
            last = large.add(f"w{number}/exit", "Exit", last, T=1)
        with pytest.raises(Irregular, match="loop 'w65' lies in more than 64 loops"):
            functions_of(large.returns(last))

    def test_rings_without_a_merge(self):
        """The index goes round for ever."""
        large = large_graphs.gathers_by_one_index(1)
        for node in large.graph_def.node:
            if node.name == "Identity_0":
                node.input[:] = ["next"]
        large.add("next", "NextIteration", "Identity_0", T=large_graphs.INT32)
        with pytest.raises(Irregular, match="'next' comes round a ring that is no loop"):
            functions_of(large)

    def test_constants_that_claim_more_than_they_have(self):
        large = large_graphs.gathers_by_one_index(1)
        for node in large.graph_def.node:
            if node.name == "index":
                node.op = "Const"
                del node.input[:]
                node.attr["dtype"].type = types_pb2.DT_INT32
                node.attr["value"].tensor.dtype = types_pb2.DT_INT32
                node.attr["value"].tensor.tensor_shape.dim.add(size=1 << 40)
                node.attr["value"].tensor.int_val.append(7)
        found, _ = functions_of(large)
        assert "GatherV2" in {node.op for node in found.node}

    def test_slices_along_several_axes(self):
        size = 40
        cut = [((i, j), (1, 1)) for i in range(size) for j in range(size)]
        found = partitions.fault([size, size], cut)
        assert found == "1600 slices along several axes, of which 1000 are allowed"
        assert partitions.fault([20, 20], [each for each in cut if max(each[0]) < 20]) is None

    def test_parts_of_a_message(self):
        error = HubError("No.", Subject("m" * 20_000), found="f" * 30_000)
        assert len(str(error)) < 21_000
        assert "... (20,009 more characters)" in str(error)
        assert len(error.found) == 30_000

    def test_lists_of_tags(self):
        assert show_tags(map(str, range(10_000))).endswith(" and 9960 more}")
        spec = large_graphs.variants(100)
        with pytest.raises(hub.TagsError, match=r"Expected: one of \{'t0'\}, .* and 60 more"):
            spec.variant({"serve"})
        assert repr(spec).endswith(" and 60 more>")

    def test_variants_side_by_side(self):
        summary = inspect_module(large_graphs.variants(30))
        assert "; 10 variants more are left out" in render_page(summary)
        console = Console(highlight=False, width=2000, file=io.StringIO())
        assert "and 10 variants more (all with --json)" in format_summary(summary, console)


def test_variants_disagree_on_tags():
    graphs = [large_graphs.Large(["same"]).returns("x") for _ in range(100)]
    with pytest.raises(hub.FormatError, match=r"Found: \{'same'\}, .* and 60 more"):
        large_graphs.spec_of(*graphs)


# --- indexes of checkpoints ---


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def block(pairs):
    """A block of pairs (how much of the key before, the rest of the key, value)."""
    parts = (varint(s) + varint(len(k)) + varint(len(v)) + k + v for s, k, v in pairs)
    return b"".join(parts) + bytes([0, 0, 0, 0, 1, 0, 0, 0])


def table(blocks, order=lambda handles: handles):
    body, handles = bytearray(), []
    for each in blocks:
        handles.append(varint(len(body)) + varint(len(each)))
        body += each + bytes(5)
    of_all = len(body)
    body += block([]) + bytes(5)
    index = block((0, b"%08d" % i, handle) for i, handle in enumerate(order(handles)))
    footer = varint(of_all) + varint(8) + varint(len(body)) + varint(len(index))
    magic = 0xDB4775248B80FB57.to_bytes(8, "little")
    return bytes(body) + index + bytes(5) + footer.ljust(40, b"\0") + magic


def keys(start, count):
    return block((0, b"%08d" % number, b"v") for number in range(start, start + count))


def read(content):
    return list(read_entries(content, checksums=False))


class TestIndex:
    def test_entries_and_blocks(self):
        check_growth(lambda count: table([keys(0, count)]), read)
        check_growth(lambda count: table([keys(n, 1) for n in range(count)]), read)
        assert [key for key, _ in read(table([keys(0, 2), keys(2, 1)]))] == [
            b"00000000",
            b"00000001",
            b"00000002",
        ]

    def test_one_block_many_times(self):
        content = table([keys(0, 1000)], lambda handles: handles * 1000)
        check_growth(lambda count: table([keys(0, count)], lambda h: h * count), read)
        with pytest.raises(Damaged, match="its blocks lie over each other"):
            read(content)

    def test_keys_that_do_not_rise(self):
        with pytest.raises(Damaged, match="entry b'00000000' comes after b'00000001'"):
            read(table([keys(1, 1), keys(0, 1)]))
        with pytest.raises(Damaged, match="entry b'00000001' comes after b'00000001'"):
            read(table([keys(1, 1), keys(1, 1)]))

    def test_keys_that_repeat_the_one_before(self):
        content = table([block((number, b"a", b"") for number in range(30_000))])
        assert len(content) < 300_000
        with pytest.raises(Damaged, match="its keys have more than 67108864 bytes"):
            for _ in read_entries(content, checksums=False):
                pass

    def test_packed_blocks(self):
        def packed(count):
            return varint(60 * count + 1) + b"\0a" + bytes([59 << 2 | 2, 1, 0]) * count

        check_growth(packed, snappy.decompress)
