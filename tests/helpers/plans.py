"""The plans of a variant's calls."""

from hub_keras_bridge.plans.program import Program


def all_plans(variant, outputs, signature="default"):
    """Those of all that calls of a signature, training included, may run."""
    program = Program(variant)
    return [program.plan(question) for question in program.questions(signature, outputs)]
