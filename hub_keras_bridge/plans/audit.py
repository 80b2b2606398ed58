"""All that a module may touch outside itself, told of the graphs as published.

A module is a program that someone else wrote. :mod:`plans.safe_mode` refuses what is
about to run; an audit tells the rest as well, which nothing runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.variant import Variant
from hub_keras_bridge.graphs.ops.packages import package_of
from hub_keras_bridge.graphs.ops.unregistered import unregistered
from hub_keras_bridge.plans.findings import Finding, in_variant
from hub_keras_bridge.plans.runs import runs_of_signatures


@dataclass(frozen=True)
class MissingOp:
    """An op that this process does not have, whatever it may touch.

    Attributes:
        op: its name.
        package: what to import, which registers it; None if that is not known.
        tags: the variant.
        needed_by: signatures whose calls run it, and cannot be made; empty where
            nothing does.
    """

    op: str
    package: str | None
    tags: tuple[str, ...] = ()
    needed_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Audit:
    """All that a module may touch outside itself.

    Attributes:
        module: its name.
        findings: by variant, then in the graph's order.
        missing: ops that are not registered here, by variant, then by name.
    """

    module: str
    findings: tuple[Finding, ...]
    missing: tuple[MissingOp, ...] = ()

    @property
    def is_safe(self) -> bool:
        """Whether safe mode takes every signature of every variant."""
        return not self.refused_ops

    @property
    def refused_ops(self) -> frozenset[str]:
        """What ``trusted_ops`` must have for every signature to be taken."""
        return frozenset(finding.op for finding in self.findings if finding.needed_by)


def audit_module(spec: ModuleSpec) -> Audit:
    """Looks through the graphs of all variants, as published. Builds and runs none.

    Initializers of variables are among what nothing runs: a published module
    has a checkpoint.

    Raises:
        FormatError: a graph is damaged.

    >>> import tensorflow as tf
    >>> import hub_keras_bridge as hub
    >>> def module_fn():
    ...     path = tf.compat.v1.placeholder(tf.string, [])
    ...     hub.add_signature("read", path, tf.io.read_file(path, name="open"))
    >>> audit = audit_module(hub.create_module_spec(module_fn))
    >>> audit.is_safe, [f"{finding}, {finding.needed_by}" for finding in audit.findings]
    (False, ["open (ReadFile: reads files), ('read',)"])
    """
    found = [
        replace(finding, tags=tuple(sorted(variant.tags)), needed_by=needed_by)
        for variant in map(spec.variant, spec.get_tags())
        for finding, needed_by in _by_signature(spec, variant)
    ]
    missing = [op for tags in spec.get_tags() for op in _missing(spec, spec.variant(tags))]
    return Audit(spec.files.name, tuple(found), tuple(missing))


def _by_signature(spec: ModuleSpec, variant: Variant) -> list[tuple[Finding, tuple[str, ...]]]:
    found = in_variant(variant)
    runs = runs_of_signatures(spec, variant) if found else {}
    return [(each, tuple(name for name, run in runs.items() if run.has(each))) for each in found]


def _missing(spec: ModuleSpec, variant: Variant) -> Iterator[MissingOp]:
    # The graph that would run, since names that TensorFlow gave up are rewritten there.
    graph_def = variant.meta_graph.graph_def
    ops = unregistered(graph_def)
    runs = runs_of_signatures(spec, variant) if ops else {}
    for op in ops:
        needed_by = tuple(name for name, run in runs.items() if run.has_op(op, graph_def))
        yield MissingOp(op, package_of(op), tuple(sorted(variant.tags)), needed_by)
