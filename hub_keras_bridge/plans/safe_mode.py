"""Safe mode: what may reach outside its module is refused before it is imported or run.

It asks about the very graphs that TensorFlow is about to import.
"""

from __future__ import annotations

import weakref
from collections.abc import Collection, Iterable

from tensorflow.core.framework import graph_pb2, node_def_pb2

from hub_keras_bridge.errors import Subject, UnsafeModuleError
from hub_keras_bridge.errors.words import listed, set_of
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.variant import Variant
from hub_keras_bridge.graphs import graph, library
from hub_keras_bridge.plans.findings import Finding, in_graph, in_variant, of_makers
from hub_keras_bridge.plans.plan import Plan
from hub_keras_bridge.plans.runs import Run, in_session, run_first
from hub_keras_bridge.plans.trust import Trust

_SHOWN = 20


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
        _refuse(of_makers(makers), subject, trust)


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
        run = Run.of(variant, in_session(variant, targets, fed))
        _refuse((finding for finding in in_variant(variant) if run.has(finding)), subject, trust)


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
        _refuse(in_graph(graph_def, (), own_state), subject, trust)


def reaching_nodes(variant: Variant, trust: Trust) -> set[str] | None:
    """Nodes of the graph as published that may reach outside, or call what may.

    TensorFlow is not to have them, not even to find out the shapes of what they give.
    None where all is trusted, functions that nothing calls among it.
    """
    if trust.everything:
        return None
    found = [f for f in in_variant(variant) if not trust.takes(f.op)]
    nodes = {finding.node for finding in found if finding.function is None}
    functions = {finding.function for finding in found if finding.function is not None}
    if functions:
        graph_def = variant.published.graph_def
        callers = library.leading_to(graph_def.library, functions)
        nodes |= {n.name for n in graph_def.node if any(library.calls([n], callers))}
    return nodes


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
        found = in_graph(plan.graph_def, paths, plan.state)
        found += of_makers(plan.makers)
        _known[plan] = tuple(found)
    return _known[plan]


def _refuse(found: Iterable[Finding], subject: Subject, trust: Trust) -> None:
    refused = {finding for finding in found if not trust.takes(finding.op)}
    if refused:
        raise UnsafeModuleError(
            f"Refused a {subject.kind} in safe mode: it may reach outside its own graph.",
            subject,
            expected="ops that compute from inputs, weights and vocabularies alone",
            found=listed(sorted(map(str, refused)), _SHOWN),
            advice="look at these nodes; if you trust the publisher with them, pass "
            f"trusted_ops={set_of({finding.op for finding in refused})}, or with all that the "
            "process may do, safe_mode=False",
        )
