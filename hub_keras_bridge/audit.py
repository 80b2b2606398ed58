"""What a module can touch outside itself: files, network, Python, its process.

A module is a program that someone else wrote. Its ops are looked up in a
reviewed list (:mod:`ops.reach`), those in functions too, before anything runs.
Safe mode asks about the graphs that a layer would run; :func:`audit_module`
about all that was published, whether anything runs it or not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from tensorflow.core.framework import graph_pb2, node_def_pb2

from hub_keras_bridge.asset_paths import Nodes, is_own_path, own_paths
from hub_keras_bridge.errors import Subject, UnsafeModuleError
from hub_keras_bridge.graphs import graph, library
from hub_keras_bridge.legible import legible
from hub_keras_bridge.ops.packages import package_of
from hub_keras_bridge.ops.reach import Reach, reach_of
from hub_keras_bridge.ops.unregistered import unregistered
from hub_keras_bridge.plan import Plan, losses_fed_by, standing_losses, unfed_placeholders
from hub_keras_bridge.spec import ModuleSpec
from hub_keras_bridge.variant import Variant

# Ops that do no more than read a file, and which input is its path.
_READERS = {"ReadFile": 0, "InitializeTableFromTextFile": 1, "InitializeTableFromTextFileV2": 1}

# Named state is looked at before.
_INSIDE = frozenset({Reach.COMPUTE, Reach.STATE, Reach.NAMED})

_SHOWN = 20


@dataclass(frozen=True)
class Finding:
    """A node that may reach outside its module.

    Attributes:
        kind: what it may touch.
        node: its name.
        op: what it runs; of a node that names a function which the module does
            not have, that function.
        function: the function of the graph's library that it is in, if any.
        tags: the variant.
        needed_by: signatures whose calls run it; empty where nothing does.
    """

    kind: Reach
    node: str
    op: str
    function: str | None = None
    tags: tuple[str, ...] = ()
    needed_by: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f" in function {legible(self.function)}" if self.function else ""
        return f"{legible(self.node)}{where} ({legible(self.op)}: {self.kind.value})"


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
        return not any(finding.needed_by for finding in self.findings)


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
        for finding, needed_by in _by_signature(variant)
    ]
    missing = [op for tags in spec.get_tags() for op in _missing(spec.variant(tags))]
    return Audit(spec.files.name, tuple(found), tuple(missing))


def require_safe(
    plans: Iterable[Plan],
    subject: Subject,
    nodes: Mapping[str, node_def_pb2.NodeDef],
) -> None:
    """Refuses plans that may reach outside their module.

    Args:
        plans: what would run.
        subject: for the message.
        nodes: the variant's, by name: the makers of tables, which are cut out
            of the plans and run on their own, are looked up there.

    Raises:
        UnsafeModuleError: with the names of the nodes.
    """
    plans = list(plans)
    found = [finding for plan in plans for finding in findings(plan)]
    made = sorted({node for plan in plans for node in plan.resources})
    found += _in_body([nodes[name] for name in made], (), (), own_state=made)
    _refuse(found, subject)


def require_safe_in_session(
    variant: Variant, targets: Iterable[str], subject: Subject, fed: Collection[str] = ()
) -> None:
    """Refuses what may reach outside of all that a session runs for some nodes.

    A session's graph takes in the whole graph as published. Nothing of the module
    is cut out of it: what an asset's path waits for runs, too.

    Args:
        variant: whose graph.
        targets: tensors and nodes that are run.
        subject: for the message.
        fed: tensors that come from outside.

    Raises:
        UnsafeModuleError: with the names of the nodes.
    """
    run = _Run.of(variant, graph.upstream(variant.nodes, targets, fed, subject))
    _refuse([finding for finding in _in_variant(variant) if run.has(finding)], subject)


def _refuse(found: Iterable[Finding], subject: Subject) -> None:
    shown = sorted({str(finding) for finding in found})
    if shown:
        rest = len(shown) - _SHOWN
        raise UnsafeModuleError(
            "Refused a TF1 Hub module in safe mode: it may reach outside its own graph.",
            subject,
            expected="ops that compute from inputs, weights and vocabularies alone",
            found=", ".join(shown[:_SHOWN]) + (f" and {rest} more" if rest > 0 else ""),
            advice="look at these nodes; if you trust the publisher, pass safe_mode=False",
        )


def findings(plan: Plan) -> list[Finding]:
    """The nodes of a plan, and of its functions, that may reach outside.

    Of variables and tables a plan has placeholders, so state that it still
    finds by name is not the module's own.
    """
    paths = {graph.tensor_name(p) for placeholders in plan.assets.values() for p in placeholders}
    return _in_graph(plan.graph_def, paths, own_state=())


def _in_variant(variant: Variant) -> list[Finding]:
    """All of the graph as published, without saying what of it runs."""
    own_state = {facts.node for facts in variant.variables} | variant.resources
    return _in_graph(variant.published.graph_def, variant.assets, own_state)


def _by_signature(variant: Variant) -> list[tuple[Finding, tuple[str, ...]]]:
    found = _in_variant(variant)
    if not found:
        return []
    runs = {name: _run_by(variant, name) for name in variant.signature_names}
    return [(each, tuple(name for name, run in runs.items() if run.has(each))) for each in found]


@dataclass(frozen=True)
class _Run:
    """What runs of a graph: nodes, and functions of its library."""

    nodes: Collection[str]
    functions: Collection[str]

    @classmethod
    def of(cls, variant: Variant, nodes: Collection[str]) -> _Run:
        """The nodes with the functions that they call, directly or not."""
        graph_def = variant.published.graph_def
        run = [node for node in graph_def.node if node.name in nodes]
        reached = library.reachable(graph_def.library, run).function
        return cls(nodes, {function.signature.name for function in reached})

    def has(self, finding: Finding) -> bool:
        if finding.function is None:
            return finding.node in self.nodes
        return finding.function in self.functions

    def has_op(self, op: str, graph_def: graph_pb2.GraphDef) -> bool:
        functions = graph_def.library.function
        bodies = (f.node_def for f in functions if f.signature.name in self.functions)
        return any(node.op == op for node in graph_def.node if node.name in self.nodes) or any(
            node.op == op for body in bodies for node in body
        )


def _run_by(variant: Variant, signature_name: str) -> _Run:
    """What calls of a signature run, training ones too, and what fills its tables."""
    signature = variant.signature(signature_name)
    fed = set(signature.input_tensors)
    targets = [
        *signature.fetches(signature.outputs)[0],
        *(op for op in variant.update_ops if not unfed_placeholders(variant, [op], fed)),
        *standing_losses(variant),
        *losses_fed_by(variant, signature),
    ]
    nodes = graph.upstream(variant.nodes, targets, fed | set(variant.assets), variant.subject)
    for op in variant.table_initializers:
        filling = graph.upstream(variant.nodes, [op], variant.assets, variant.subject)
        if filling & nodes & variant.resources:
            nodes |= filling
    return _Run.of(variant, nodes)


def _missing(variant: Variant) -> Iterator[MissingOp]:
    # The graph that would run, since names that TensorFlow gave up are rewritten there.
    graph_def = variant.meta_graph.graph_def
    ops = unregistered(graph_def)
    runs = {name: _run_by(variant, name) for name in variant.signature_names} if ops else {}
    for op in ops:
        needed_by = tuple(name for name, run in runs.items() if run.has_op(op, graph_def))
        yield MissingOp(op, package_of(op), tuple(sorted(variant.tags)), needed_by)


def _in_graph(
    graph_def: graph_pb2.GraphDef, paths: Collection[str], own_state: Collection[str]
) -> list[Finding]:
    functions = {function.signature.name for function in graph_def.library.function}
    own = own_paths(graph_def, paths)
    found = _in_body(graph_def.node, functions, own[None], own_state)
    for function in graph_def.library.function:
        name = function.signature.name
        inside = _in_body(function.node_def, functions, own[name], own_state=())
        found += [replace(finding, function=name) for finding in inside]
    for gradient in graph_def.library.gradient:
        if gradient.gradient_func not in functions:
            name = gradient.function_name
            found.append(Finding(Reach.UNKNOWN, name, gradient.gradient_func, function=name))
    return found


def _in_body(
    nodes: Collection[node_def_pb2.NodeDef],
    functions: Collection[str],
    paths: Collection[str],
    own_state: Collection[str],
) -> list[Finding]:
    by_name = {node.name: node for node in nodes}
    return [
        finding
        for node in nodes
        for finding in _of_node(node, by_name, functions, paths, own_state)
    ]


def _of_node(
    node: node_def_pb2.NodeDef,
    nodes: Nodes,
    functions: Collection[str],
    paths: Collection[str],
    own_state: Collection[str],
) -> Iterator[Finding]:
    # TensorFlow would look for a name that is not among the module's functions
    # among those of the whole process.
    for name in library.named_functions(node):
        if name not in functions:
            yield Finding(Reach.UNKNOWN, node.name, name)
    if node.op in functions:
        return  # looked at by itself
    kind = reach_of(node)
    if kind is Reach.NAMED and node.name not in own_state:
        yield Finding(Reach.PROCESS, node.name, node.op)
    elif kind not in _INSIDE and not _reads_own_file(node, nodes, paths):
        yield Finding(kind, node.name, node.op)


def _reads_own_file(node: node_def_pb2.NodeDef, nodes: Nodes, paths: Collection[str]) -> bool:
    position = _READERS.get(node.op)
    return (
        position is not None
        and len(node.input) > position
        and is_own_path(node.input[position], nodes, paths)
    )
