"""What is between any tensors of a loaded module's graph, as a function of TensorFlow 2.

Programs name them as they were published: inner tensors, which are in no signature.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from hub_keras_bridge.errors import SignatureError, Subject
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.facts.variant import Variant
from hub_keras_bridge.graphs.graph import node_name
from hub_keras_bridge.graphs.inside import Inside
from hub_keras_bridge.graphs.refusing import refusing
from hub_keras_bridge.plans import safe_mode
from hub_keras_bridge.plans.calls import unfed_placeholders
from hub_keras_bridge.plans.plan import Question
from hub_keras_bridge.plans.program import Program
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running.runtime import Runtime


class Pruner:
    """Makes functions on a module's variables and tables.

    Args:
        runtime: has them.
        program: of the variant whose graph it is.
        assets: file name below ``assets/`` -> path of the file.
        trust: what may reach outside the module.
    """

    def __init__(
        self, runtime: Runtime, program: Program, assets: Mapping[str, str], trust: Trust
    ) -> None:
        self._runtime = runtime
        self._program = program
        self._variant = program.variant
        self._assets = assets
        self._trust = trust

    @functools.cached_property
    def graph(self) -> tf.Graph:
        """The variant's whole graph, each node under its published name.

        Raises:
            UnknownOpError: TensorFlow lacks an op.
            FormatError: TensorFlow does not accept the graph.
        """
        without = safe_mode.reaching_nodes(self._variant, self._trust)
        meta_graph = self._variant.with_files(self._assets, without)
        with refusing(self._variant.subject), tf.Graph().as_default() as graph:
            tf.graph_util.import_graph_def(
                meta_graph.graph_def,
                name="",
                producer_op_list=meta_graph.meta_info_def.stripped_op_list,
            )
        return graph

    def prune(self, feeds: Any, fetches: Any) -> Any:
        """A function from some tensors of the graph to others; see ``LoadedModule.prune``."""
        variant = self._variant
        fed = [_tensor(self.graph, each, variant.subject) for each in _flat(feeds)]
        wanted = [_element(self.graph, each, variant.subject) for each in _flat(fetches)]
        tensors = [each for each in wanted if isinstance(each, tf.Tensor)]
        _check_values([*fed, *tensors], variant.subject)
        _check_fed(fed, wanted, variant)
        _check_loops(wanted, variant)
        specs = {each.name: tf.TensorSpec(each.shape, each.dtype, each.op.name) for each in fed}
        question = Question(
            tuple(each.name for each in tensors),
            fed=tuple(specs.items()),
            shapes=tuple(each.shape for each in tensors),
            updates=tuple(_effects(fed, wanted, variant)),
        )
        chosen = self._program.plan(question)
        walked = variant.walk([each.name for each in wanted], specs)
        plans = [chosen, *map(self._program.plan, self._program.fillings([walked]))]
        safe_mode.require_safe(plans, variant.subject, self._trust)
        run = self._runtime.plan_function(self._program, chosen, specs)

        def pruned(*values: tf.Tensor) -> Any:
            found = iter(run(*values))
            each = [next(found) if isinstance(element, tf.Tensor) else None for element in wanted]
            return tf.nest.pack_sequence_as(fetches, each, expand_composites=True)

        function = tf.function(pruned, autograph=False).get_concrete_function(*specs.values())
        # Of variables a function keeps no more than the handles; programs keep it alone.
        function.runtime = self._runtime
        return function


def _flat(nest: Any) -> list[Any]:
    return tf.nest.flatten(nest, expand_composites=True)


def _element(graph: tf.Graph, wanted: Any, subject: Subject) -> tf.Tensor | tf.Operation:
    try:
        return graph.as_graph_element(wanted)
    except (KeyError, TypeError, ValueError) as error:
        raise SignatureError(
            "Cannot prune the graph of a TF1 Hub module: it has no such tensor.",
            subject,
            expected="names such as 'x:0', or tensors of the loaded module's graph",
            found=str(error.args[0] if error.args else wanted),
            advice="look for the name among module.graph.get_operations()",
        ) from error


def _tensor(graph: tf.Graph, wanted: Any, subject: Subject) -> tf.Tensor:
    element = _element(graph, wanted, subject)
    if isinstance(element, tf.Tensor):
        return element
    raise SignatureError(
        "Cannot prune the graph of a TF1 Hub module: an op is fed.",
        subject,
        expected="tensors, or their names",
        found=repr(element.name),
        advice=f"feed what the op gives, such as '{element.name}:0'",
    )


def _check_values(tensors: Sequence[tf.Tensor], subject: Subject) -> None:
    references = [each.name for each in tensors if each.dtype != each.dtype.base_dtype]
    if references:
        raise SignatureError(
            "Cannot prune the graph of a TF1 Hub module at a reference.",
            subject,
            expected="tensors that have values of their own",
            found=choices(references),
            advice="name what reads the variable, such as 'NAME/read:0'; or use module.variables",
        )


def _check_fed(
    fed: Sequence[tf.Tensor], wanted: Sequence[tf.Tensor | tf.Operation], variant: Variant
) -> None:
    given = {each.name for each in fed}
    if missing := unfed_placeholders(variant, [each.name for each in wanted], given):
        raise SignatureError(
            "Cannot prune the graph of a TF1 Hub module: what is fetched needs more.",
            variant.subject,
            expected="a feed for each placeholder that the fetches depend on",
            found=f"unfed placeholders {choices(missing)}",
            advice="add them to the feeds",
        )


def _check_loops(wanted: Sequence[tf.Tensor | tf.Operation], variant: Variant) -> None:
    # TensorFlow would end the process: there is a value for each turn of the loop.
    lying = variant.inner_tensors.inside
    names = [each.name for each in wanted]
    if inside := [name for name in names if lying.get(node_name(name)) is Inside.LOOP]:
        raise SignatureError(
            "Cannot prune the graph of a TF1 Hub module within a loop.",
            variant.subject,
            expected="tensors that have one value in a call",
            found=choices(inside),
            advice="name what leaves the loop, such as the output of an Exit",
        )


def _effects(
    fed: Sequence[tf.Tensor], wanted: Sequence[tf.Tensor | tf.Operation], variant: Variant
) -> list[str]:
    """The wanted ops, but for those in whose place there is something from outside."""
    outside = {f"{facts.node}:0" for facts in variant.variables} | {*variant.assets}
    outside |= {f"{node}:0" for node in variant.resources} | {each.name for each in fed}
    ops = [each.name for each in wanted if isinstance(each, tf.Operation)]
    return [name for name in ops if f"{name}:0" not in outside]
