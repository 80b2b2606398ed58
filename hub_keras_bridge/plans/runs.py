"""What runs of a module's whole graph: for a session, and for a signature's calls."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from tensorflow.core.framework import graph_pb2

from hub_keras_bridge.errors import FormatError
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.variant import Variant
from hub_keras_bridge.graphs import graph, library
from hub_keras_bridge.plans.calls import questions
from hub_keras_bridge.plans.findings import Finding

# Each signature is followed through the graph by itself. The largest modules that
# are known have some 50,000 nodes and 20 signatures.
MOST_STEPS = 10_000_000


@dataclass(frozen=True)
class Run:
    """What runs of a graph: nodes, and functions of its library."""

    nodes: Collection[str]
    functions: Collection[str]

    @classmethod
    def of(cls, variant: Variant, nodes: Collection[str]) -> Run:
        """The nodes with the functions that they call, directly or not.

        Of both graphs: early ops are rewritten before a function runs them, and a
        function of the module may have the name of an op that this brings in.
        """
        functions: set[str] = set()
        for graph_def in (variant.published.graph_def, variant.meta_graph.graph_def):
            run = [node for node in graph_def.node if node.name in nodes]
            reached = library.reachable(graph_def.library, run).function
            functions |= {function.signature.name for function in reached}
        return cls(nodes, functions)

    def has(self, finding: Finding) -> bool:
        """Whether what was found runs."""
        if finding.function is None:
            return finding.node in self.nodes
        return finding.function in self.functions

    def has_op(self, op: str, graph_def: graph_pb2.GraphDef) -> bool:
        """Whether an op of the graph runs."""
        functions = graph_def.library.function
        bodies = (f.node_def for f in functions if f.signature.name in self.functions)
        return any(node.op == op for node in graph_def.node if node.name in self.nodes) or any(
            node.op == op for body in bodies for node in body
        )


def run_first(spec: ModuleSpec, variant: Variant) -> list[str]:
    """The nodes that give state its values in a session; a checkpoint does it for variables."""
    none_saved = spec.files.checkpoint is None
    return [
        *variant.table_initializers,
        *(
            facts.initializer
            for facts in variant.variables
            if facts.initializer and (none_saved or spec.files.starts_anew(facts.name))
        ),
    ]


def need_few_steps(variant: Variant) -> None:
    """Checks that each signature can be followed through the graph.

    Raises:
        FormatError: there are too many of them for a graph of its size.
    """
    nodes = len(variant.nodes)
    if nodes * len(variant.signature_names) > MOST_STEPS:
        raise FormatError(
            "Cannot say what of a TF1 Hub module's graph its signatures need: it is too large.",
            variant.subject,
            expected=f"at most {MOST_STEPS:,} for the number of nodes times that of signatures",
            found=f"{nodes:,} nodes and {len(variant.signature_names):,} signatures",
            advice="fetch the module again; if it is intact, report this message",
        )


def runs_of_signatures(spec: ModuleSpec, variant: Variant) -> dict[str, Run]:
    """Signature -> what its calls run, training ones too, in functions and in sessions.

    Raises:
        FormatError: as :func:`need_few_steps`.
    """
    need_few_steps(variant)
    start = in_session(variant, run_first(spec, variant), ())
    return {
        name: Run.of(variant, start | _run_by(variant, name)) for name in variant.signature_names
    }


def _run_by(variant: Variant, signature_name: str) -> set[str]:
    signature = variant.signature(signature_name)
    asked = list(questions(variant, signature_name, list(signature.outputs)))
    walks = [question.walk(variant) for question in asked]
    walks += [each for filling in variant.filled(walks).values() for each in filling]
    nodes = {name for each in walks for name in each.nodes}
    # Those of tables and variables make them.
    nodes |= {graph.node_name(tensor) for each in walks for tensor in each.given}
    targets = [target for question in asked for target in question.targets]
    return nodes | in_session(variant, targets, signature.input_tensors)


def in_session(variant: Variant, targets: Iterable[str], fed: Collection[str]) -> set[str]:
    """The nodes that a session runs for some targets: nothing of the module is cut out of it."""
    return graph.upstream(variant.nodes, targets, fed, variant.subject)
