"""A module's nodes in a TF1 graph have the names, types and inputs that the original gives."""

import functools
import json
import lzma

import pytest

import hub_keras_bridge as hub
from helpers import published_graphs
from helpers.places import GOLDEN, ZOO

RECORDED = GOLDEN / "published_graphs.json.xz"
SLOW = ("bert_tiny", "nested")


@functools.cache
def recorded():
    return json.loads(lzma.decompress(RECORDED.read_bytes()))


def variants():
    for name in sorted(path.name for path in ZOO.iterdir()):
        for tags in published_graphs.variants(hub, str(ZOO / name / "module")):
            marks = [pytest.mark.slow] if name in SLOW else []
            yield pytest.param(name, tags, id="-".join([name, *tags]), marks=marks)


@pytest.mark.parametrize(("name", "tags"), list(variants()))
def test_nodes_in_five_positions(name, tags):
    (expected,) = [r["nodes"] for r in recorded() if (r["module"], r["tags"]) == (name, tags)]
    found = published_graphs.graph_in_five_positions(hub, str(ZOO / name / "module"), tags)
    assert set(found) == set(expected)
    assert found == expected
