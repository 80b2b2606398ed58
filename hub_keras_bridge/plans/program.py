"""The plans of a variant's calls, each made once, when it is first asked for.

The audit looks at them, XLA is asked about them, the runtime imports them: whoever
uses a module has one program per variant, and nothing else plans.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from tensorflow.core.framework import node_def_pb2

from hub_keras_bridge.facts.signatures import SignatureFacts
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.variant import Variant
from hub_keras_bridge.graphs.prune import Walk
from hub_keras_bridge.plans import calls
from hub_keras_bridge.plans.plan import Plan, Question, plan


@dataclass(frozen=True, eq=False)
class TablePlan:
    """How a table is made and filled.

    Attributes:
        maker: the node that makes it.
        filling: the graph that fills it; None if nothing does.
        identity: equal for tables that are made and filled alike, in whatever variant.
    """

    maker: node_def_pb2.NodeDef
    filling: Plan | None
    identity: str


class Program:
    """What calls of a variant run.

    Args:
        variant: whose graph.
    """

    def __init__(self, variant: Variant) -> None:
        self.variant = variant
        self._plans: dict[Question, Plan] = {}
        self._tables: dict[str, TablePlan] = {}
        # A lookup in another thread fills tables while a call is planned.
        self._lock = threading.RLock()

    def plan(self, question: Question) -> Plan:
        """The graph that answers a question; see :func:`plan.plan`."""
        with self._lock:
            if question not in self._plans:
                self._plans[question] = plan(self.variant, question)
            return self._plans[question]

    def look(self, question: Question) -> Plan:
        """The graph that answers a question, which is not to run soon and is not kept."""
        return self._plans.get(question) or plan(self.variant, question)

    def call(self, signature: str, outputs: Sequence[str], *, training: bool) -> Plan:
        """The graph of one call; see :func:`calls.call_of`.

        Raises:
            SignatureError: an output needs an input that the signature lacks.
        """
        question = calls.call_of(self.variant, signature, outputs, training=training)
        if question not in self._plans:
            calls.need_complete(self.variant, signature, outputs)
        return self.plan(question)

    @functools.cached_property
    def standing_losses(self) -> Plan | None:
        """The graph of the regularization losses that depend on weights alone, if there are any."""
        losses = calls.standing_losses(self.variant)
        return self.plan(Question(losses)) if losses else None

    def fed_losses(self, signature: SignatureFacts) -> Plan | None:
        """The graph of the regularization losses that a signature feeds, if there are any."""
        losses = calls.losses_fed_by(self.variant, signature)
        return self.plan(Question(losses, tuple(signature.input_tensors))) if losses else None

    def table(self, node: str) -> TablePlan:
        """How the table of a node is made and filled."""
        with self._lock:
            if node not in self._tables:
                initializers = self.variant.fillings.get(node)
                filling = self.plan(_filled_by(initializers)) if initializers else None
                maker = self.variant.nodes[node]
                self._tables[node] = TablePlan(maker, filling, _identity(maker, filling))
            return self._tables[node]

    def fillings(self, walks: Iterable[Walk]) -> list[Question]:
        """What fills the tables that some walks come to."""
        initializers = self.variant.fillings
        tables = sorted(self.variant.filled(walks))
        return [_filled_by(initializers[node]) for node in tables if node in initializers]

    def tables_read(self, signature: str, outputs: Sequence[str]) -> list[str]:
        """Nodes of the tables that some outputs of a signature need."""
        call = calls.call_of(self.variant, signature, outputs, training=False)
        return sorted(self.variant.filled([call.walk(self.variant)]))

    def questions(self, signature: str, outputs: Sequence[str]) -> list[Question]:
        """All that calls of a signature, training included, may run.

        Raises:
            SignatureError: an output needs an input that the signature lacks.
        """
        calls.need_complete(self.variant, signature, outputs)
        asked = list(calls.questions(self.variant, signature, outputs))
        return asked + self.fillings(each.walk(self.variant) for each in asked)


class Programs:
    """The programs of a module's variants, one for each that is asked for.

    Args:
        spec: of the module.
    """

    def __init__(self, spec: ModuleSpec) -> None:
        self.spec = spec
        self._made: dict[Variant, Program] = {}

    def of(self, tags: Collection[str]) -> Program:
        """The program of a variant.

        Raises:
            TagsError: the module has no such variant.
        """
        variant = self.spec.variant(tags)
        if variant not in self._made:
            self._made[variant] = Program(variant)
        return self._made[variant]


def _filled_by(initializers: Iterable[str]) -> Question:
    return Question(updates=tuple(initializers))


def _identity(maker: node_def_pb2.NodeDef, filling: Plan | None) -> str:
    parts = [maker.SerializeToString(deterministic=True)]
    if filling is not None:
        parts.append(filling.graph_def.SerializeToString(deterministic=True))
        parts.append(repr(sorted(filling.assets.items())).encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
