"""A function of a plan that takes its variables' values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from hub_keras_bridge.plans.of_values import SEED, SEED_SPEC, Interface
from hub_keras_bridge.plans.plan import Plan
from hub_keras_bridge.running.lookup_tables import Function


class FunctionOfValues:
    """Runs a plan on values; no variable is read or written.

    Args:
        plan: a plan on values.
        specs: what it takes, see :func:`arguments`.
        run: what runs it.
    """

    def __init__(
        self, plan: Plan, specs: Sequence[tuple[str, tf.TensorSpec]], run: Function
    ) -> None:
        self.plan = plan
        self.specs = specs
        self._run = run

    def __call__(
        self, inputs: Mapping[str, tf.Tensor], value_of: Callable[[str], tf.Tensor]
    ) -> tuple[list[tf.Tensor], dict[str, tf.Tensor]]:
        """What the plan fetches, and the new values by variable's node.

        Args:
            inputs: tensors of the signature, by name; more than the plan needs.
            value_of: the value of a variable, by node; under ``SEED`` the seed.
        """
        chosen = self.plan
        given = [inputs[tensor] for tensor in chosen.inputs]
        results = self._run(*given, *map(value_of, chosen.values))
        count = len(chosen.fetches) - len(chosen.written)
        return results[:count], dict(zip(chosen.written, results[count:], strict=True))


def arguments(chosen: Plan, interface: Interface) -> list[tuple[str, tf.TensorSpec]]:
    """What a function of a plan on values takes: inputs, then values of variables, and the seed."""
    specs = {each.node: tf.TensorSpec(each.shape, each.dtype) for each in interface.variables}
    specs[SEED] = SEED_SPEC
    given = [(tensor, interface.input_specs[tensor]) for tensor in chosen.inputs]
    return given + [(node, specs[node]) for node in chosen.values]
