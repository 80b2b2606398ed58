"""The plans of a variant's calls."""

from hub_keras_bridge.graphs.ops import definitions as op_facts
from hub_keras_bridge.plans.program import Program


def all_plans(variant, outputs, signature="default"):
    """Those of all that calls of a signature, training included, may run."""
    program = Program(variant)
    return [program.plan(question) for question in program.questions(signature, outputs)]


def stateful_ops(plan):
    """The ops of a plan that may have an effect, or give another result twice."""
    library = plan.graph_def.library.function
    signatures = {function.signature.name: function.signature for function in library}
    bodies = [plan.graph_def.node, *(function.node_def for function in library)]
    return [n.op for nodes in bodies for n in nodes if op_facts.is_stateful(n, signatures)]
