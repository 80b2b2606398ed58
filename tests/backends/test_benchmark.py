"""The benchmark of backends compares what computes the same numbers, on each of them."""

from benchmarks import backends
from benchmarks.kinds import EVERY_KIND
from benchmarks.sides import OURS, TWIN
from helpers.backends import BACKEND


def test_sides_compute_the_same(tmp_path):
    kind = EVERY_KIND["mlp"]
    found = backends.measure(kind.publish(tmp_path), steps=2, rounds=1)
    sides = [OURS, TWIN, *([backends.GRAPH] if BACKEND == "torch" else [])]
    assert {what: [*timed] for what, timed in found.items()} == {"fit": sides, "predict": sides}
    row = backends.table({"mlp": {BACKEND: found}}).splitlines()[-1]
    assert row.startswith(f"| MLP | {backends.BACKENDS[BACKEND]} | predict |")
