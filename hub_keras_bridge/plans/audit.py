"""What a module can touch outside itself: files, network, Python, its process.

A module is a program that someone else wrote. Its ops are looked up in a
reviewed list (:mod:`ops.reach`), those in functions too, before anything runs.
Safe mode asks about the very graphs that TensorFlow is about to import; of what
was published, :func:`audit_module` tells the rest as well, which nothing runs.
"""

from __future__ import annotations

import weakref
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from tensorflow.core.framework import graph_pb2, node_def_pb2

from hub_keras_bridge.compat import private
from hub_keras_bridge.errors import FormatError, Subject, UnsafeModuleError
from hub_keras_bridge.errors.words import legible, set_of
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.variant import Variant
from hub_keras_bridge.graphs import graph, library
from hub_keras_bridge.graphs.asset_paths import OwnPaths, own_paths
from hub_keras_bridge.graphs.ops.packages import package_of
from hub_keras_bridge.graphs.ops.reach import Reach, reach_of, reach_of_op
from hub_keras_bridge.graphs.ops.unregistered import unregistered
from hub_keras_bridge.plans.plan import Plan, uses
from hub_keras_bridge.plans.trust import Trust

# Ops that do no more than read a file, and which input is its path.
_READERS = {"ReadFile": 0, "InitializeTableFromTextFile": 1, "InitializeTableFromTextFileV2": 1}

# Named state is looked at before.
_INSIDE = frozenset({Reach.COMPUTE, Reach.STATE, Reach.NAMED})

_SHOWN = 20

# Each signature is followed through the graph by itself. The largest modules that
# are known have some 50,000 nodes and 20 signatures.
MOST_STEPS = 10_000_000


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


def require_safe(plans: Iterable[Plan], subject: Subject, trust: Trust) -> None:
    """Refuses plans that may reach outside their module.

    Args:
        plans: what would be imported.
        subject: for the message.
        trust: what may.

    Raises:
        UnsafeModuleError: with the names of the nodes.
    """
    if not trust.everything:
        _refuse((finding for plan in plans for finding in findings(plan)), subject, trust)


def require_safe_makers(
    makers: Iterable[node_def_pb2.NodeDef], subject: Subject, trust: Trust
) -> None:
    """Refuses nodes that are to make tables, and may reach outside their module.

    Raises:
        UnsafeModuleError: with the names of the nodes.
    """
    if not trust.everything:
        _refuse(_of_makers(makers), subject, trust)


def require_safe_start(spec: ModuleSpec, variant: Variant, trust: Trust) -> None:
    """Checks what a session runs to give a module's variables and tables their values.

    Raises:
        UnsafeModuleError: something of it may reach outside.
    """
    require_safe_in_session(variant, run_first(spec, variant), variant.subject, trust)


def require_safe_in_session(
    variant: Variant,
    targets: Iterable[str],
    subject: Subject,
    trust: Trust,
    fed: Collection[str] = (),
) -> None:
    """Refuses what may reach outside of all that a session runs for some nodes.

    A session's graph takes in the whole graph as published. Nothing of the module
    is cut out of it: what an asset's path waits for runs, too.

    Args:
        variant: whose graph.
        targets: tensors and nodes that are run.
        subject: for the message.
        trust: what may.
        fed: tensors that come from outside.

    Raises:
        UnsafeModuleError: with the names of the nodes.
    """
    if not trust.everything:
        run = _Run.of(variant, _in_session(variant, targets, fed))
        _refuse((finding for finding in _in_variant(variant) if run.has(finding)), subject, trust)


def run_first(spec: ModuleSpec, variant: Variant) -> list[str]:
    """The nodes that give state its values in a session; a checkpoint does it for variables."""
    run = list(variant.table_initializers)
    if spec.files.checkpoint is None:
        run += [facts.initializer for facts in variant.variables if facts.initializer]
    return run


def require_safe_graph(
    graph_def: graph_pb2.GraphDef, own_state: Collection[str], subject: Subject, trust: Trust
) -> None:
    """Refuses a graph, with all its functions, that may reach outside its module.

    Args:
        graph_def: what is to be imported. None of its tensors is a path of the
            module's own.
        own_state: nodes that hold state of the module's own.
        subject: for the message.
        trust: what may.

    Raises:
        UnsafeModuleError: with the names of the nodes.
    """
    if not trust.everything:
        _refuse(_in_graph(graph_def, (), own_state), subject, trust)


def reaching_nodes(variant: Variant, trust: Trust) -> set[str] | None:
    """Nodes of the graph as published that may reach outside, or call what may.

    TensorFlow is not to have them, not even to find out the shapes of what they give.
    None where all is trusted, functions that nothing calls among it.
    """
    if trust.everything:
        return None
    found = [f for f in _in_variant(variant) if not trust.takes(f.op)]
    nodes = {finding.node for finding in found if finding.function is None}
    functions = {finding.function for finding in found if finding.function is not None}
    if functions:
        graph_def = variant.published.graph_def
        callers = library.leading_to(graph_def.library, functions)
        nodes |= {n.name for n in graph_def.node if any(library.calls([n], callers))}
    return nodes


def _refuse(found: Iterable[Finding], subject: Subject, trust: Trust) -> None:
    refused = {finding for finding in found if not trust.takes(finding.op)}
    if refused:
        shown = sorted(map(str, refused))
        rest = len(shown) - _SHOWN
        raise UnsafeModuleError(
            f"Refused a {subject.kind} in safe mode: it may reach outside its own graph.",
            subject,
            expected="ops that compute from inputs, weights and vocabularies alone",
            found=", ".join(shown[:_SHOWN]) + (f" and {rest} more" if rest > 0 else ""),
            advice="look at these nodes; if you trust the publisher with them, pass "
            f"trusted_ops={set_of({finding.op for finding in refused})}, or with all that the "
            "process may do, safe_mode=False",
        )


# A plan is looked at before it is kept, and again where it is imported.
_known: weakref.WeakKeyDictionary[Plan, tuple[Finding, ...]] = weakref.WeakKeyDictionary()


def findings(plan: Plan) -> tuple[Finding, ...]:
    """The nodes of a plan, of its functions, and makers of its tables, that may reach outside.

    Of variables and tables a plan has placeholders, so state that it still
    finds by name is not the module's own, but for what it says is.
    """
    if plan not in _known:
        paths = {graph.tensor_name(p) for given in plan.assets.values() for p in given}
        # An input may stand where a path does, and is what the caller says.
        paths.difference_update(plan.inputs.values())
        found = _in_graph(plan.graph_def, paths, plan.state)
        found += _of_makers(plan.makers)
        _known[plan] = tuple(found)
    return _known[plan]


def _of_makers(makers: Iterable[node_def_pb2.NodeDef]) -> list[Finding]:
    nodes = list(makers)
    return _in_body(nodes, (), OwnPaths({}), {node.name for node in nodes})


def _in_variant(variant: Variant) -> list[Finding]:
    """All of the graph as published, without saying what of it runs."""
    own_state = {facts.node for facts in variant.variables} | variant.resources
    signatures = map(variant.published_signature, variant.signature_names)
    fed = {tensor for signature in signatures for tensor in signature.input_tensors}
    return _in_graph(variant.published.graph_def, variant.assets.keys() - fed, own_state)


def _by_signature(spec: ModuleSpec, variant: Variant) -> list[tuple[Finding, tuple[str, ...]]]:
    found = _in_variant(variant)
    runs = _runs(spec, variant) if found else {}
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


def _runs(spec: ModuleSpec, variant: Variant) -> dict[str, _Run]:
    """Signature -> what its calls run, training ones too, in functions and in sessions."""
    nodes = len(variant.nodes)
    if nodes * len(variant.signature_names) > MOST_STEPS:
        raise FormatError(
            "Cannot say what of a TF1 Hub module's graph its signatures need: it is too large.",
            variant.subject,
            expected=f"at most {MOST_STEPS:,} for the number of nodes times that of signatures",
            found=f"{nodes:,} nodes and {len(variant.signature_names):,} signatures",
            advice="fetch the module again; if it is intact, report this message",
        )
    start = _in_session(variant, run_first(spec, variant), ())
    return {
        name: _Run.of(variant, start | _run_by(variant, name)) for name in variant.signature_names
    }


def _run_by(variant: Variant, signature_name: str) -> set[str]:
    signature = variant.signature(signature_name)
    asked = list(uses(variant, signature_name, list(signature.outputs)))
    walks = [use.walk(variant) for use in asked]
    walks += [each for filling in variant.filled(walks).values() for each in filling]
    nodes = {name for each in walks for name in each.nodes}
    # Those of tables and variables make them.
    nodes |= {graph.node_name(tensor) for each in walks for tensor in each.given}
    targets = [target for use in asked for target in (*use.fetches, *use.updates)]
    return nodes | _in_session(variant, targets, signature.input_tensors)


def _in_session(variant: Variant, targets: Iterable[str], fed: Collection[str]) -> set[str]:
    return graph.upstream(variant.nodes, targets, fed, variant.subject)


def _missing(spec: ModuleSpec, variant: Variant) -> Iterator[MissingOp]:
    # The graph that would run, since names that TensorFlow gave up are rewritten there.
    graph_def = variant.meta_graph.graph_def
    ops = unregistered(graph_def)
    runs = _runs(spec, variant) if ops else {}
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
        if private.op_def(name) is not None:
            # Whoever reads the graph takes calls of it for the op.
            found.append(Finding(Reach.UNKNOWN, name, name, function=name))
    gradients = [
        *((g.function_name, g.gradient_func) for g in graph_def.library.gradient),
        *((g.registered_op_type, g.gradient_func) for g in graph_def.library.registered_gradients),
    ]
    for name, gradient in gradients:
        if gradient not in functions:
            found.append(Finding(Reach.UNKNOWN, name, gradient, function=name))
    return found


def _in_body(
    nodes: Collection[node_def_pb2.NodeDef],
    functions: Collection[str],
    paths: OwnPaths,
    own_state: Collection[str],
) -> list[Finding]:
    return [finding for node in nodes for finding in _of_node(node, functions, paths, own_state)]


def _of_node(
    node: node_def_pb2.NodeDef,
    functions: Collection[str],
    paths: OwnPaths,
    own_state: Collection[str],
) -> Iterator[Finding]:
    # TensorFlow would look for a name that is not among the module's functions
    # among those of the whole process.
    for name in library.named_functions(node):
        if name not in functions:
            yield Finding(Reach.UNKNOWN, node.name, name)
    # Differentiating the node would make what the gradient of that op makes.
    gradient = library.named_gradient(node)
    if gradient and private.op_def(gradient) and reach_of_op(gradient) not in _INSIDE:
        yield Finding(reach_of_op(gradient), node.name, gradient)
    if node.op in functions:
        return  # looked at by itself
    kind = reach_of(node)
    if kind is Reach.NAMED and node.name not in own_state:
        yield Finding(Reach.PROCESS, node.name, node.op)
    elif kind not in _INSIDE and not _reads_own_file(node, paths):
        yield Finding(kind, node.name, node.op)
    elif _passes_on_functions(node):
        yield Finding(Reach.UNKNOWN, node.name, node.op)


def _reads_own_file(node: node_def_pb2.NodeDef, paths: OwnPaths) -> bool:
    position = _READERS.get(node.op)
    return position is not None and len(node.input) > position and paths.has(node.input[position])


def _passes_on_functions(node: node_def_pb2.NodeDef) -> bool:
    """Whether the caller of the function around says which function the node calls."""
    left_open = {name for name, value in node.attr.items() if value.placeholder}
    definition = private.op_def(node.op) if left_open else None
    return definition is not None and any(
        attribute.name in left_open and attribute.type in ("func", "list(func)")
        for attribute in definition.attr
    )
