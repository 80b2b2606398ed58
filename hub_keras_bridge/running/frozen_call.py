"""What an inference call runs, with today's weights in it: a snapshot."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.errors import Subject
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.graphs.dividing import divide
from hub_keras_bridge.plans.frozen import Parts
from hub_keras_bridge.plans.plan import Plan
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running.importing import import_graph
from hub_keras_bridge.running.lookup_tables import Function, make_resource

# What a call takes and returns, flat, in the order of the signature: arrays, or tensors
# that have a value, and are not turned into arrays before an engine asks for one.
Value: TypeAlias = "np.ndarray | tf.Tensor"
Arrays: TypeAlias = Sequence[Value]
Run: TypeAlias = Callable[[Arrays], Arrays]
# Of tables in graphs that never run, which only tell what the tables are of.
_SCRATCH = "never_made"
# Tensor -> value, while a call runs.
_Known: TypeAlias = dict[str, Value]


@dataclass(frozen=True, eq=False)
class FrozenCall:
    """A call without variables.

    Attributes:
        whole: what runs; its inputs go by their placeholders.
        specs: placeholder of an input -> dtype and shape.
        names: what an input or output is called, by its tensor.
        trust: what may reach outside the module.
        inputs: for each flat input its placeholder, None of one that nothing reads.
        make: from a plan, and the dtypes and shapes of its inputs, to a function.
        bind: from what a call is given to flat inputs.
        pack: from flat outputs to what a call returns.
        subject: module, tags and signature, for messages.
        takes: what goes in, by name, in the order of ``inputs``.
        gives: what comes out, by name, in the order in which the whole is fetched.
    """

    whole: Plan
    specs: Mapping[str, tf.TensorSpec]
    names: Mapping[str, str]
    trust: Trust
    inputs: tuple[str | None, ...]
    make: Callable[[Plan, Mapping[str, tf.TensorSpec]], Function]
    bind: Callable[[Any], list[Value]]
    pack: Callable[[Arrays], Any]
    subject: Subject
    takes: Mapping[str, ParsedTensorInfo]
    gives: Mapping[str, ParsedTensorInfo]

    @property
    def has_composites(self) -> bool:
        """Whether an input is sparse or ragged."""
        return any(info.is_composite for info in self.takes.values())

    @functools.cached_property
    def parts(self) -> Parts:
        """What engines run of it, and what TensorFlow runs before and behind."""
        return self._apart[0]

    @functools.cached_property
    def _apart(self) -> tuple[Parts, dict[str, tf.TensorSpec]]:
        return taken_apart(self.whole, self.specs, self.names, self.trust)

    def by_tensorflow(self) -> Run:
        """All of it, run by TensorFlow."""
        read = [self.inputs.index(placeholder) for placeholder in self.whole.inputs]
        run = self._function(self.whole, self.specs)
        return lambda flat: run([flat[index] for index in read])

    def by(self, engine: Run) -> Run:
        """All of it, of which an engine runs the numeric part.

        Args:
            engine: from what enters the numeric part to what leaves it.
        """
        (parts, specs), fetches = self._apart, self.whole.fetches
        position = {p: index for index, p in enumerate(self.inputs) if p}
        handed_on = {tensor for tensor in fetches if tensor in position}
        stages = [_engine_stage(parts, engine)]
        if parts.first:
            stages.insert(0, _stage(parts.first, self._function(parts.first, specs)))
        if parts.last:
            stages.append(_stage(parts.last, self._function(parts.last, specs)))

        def run(flat: Arrays) -> Arrays:
            known = {tensor: flat[index] for tensor, index in position.items()}
            for stage in stages:
                stage(known)
            for tensor in handed_on:  # Text comes out as bytes.
                known[tensor] = _as_tensor(known[tensor], self.specs[tensor].dtype)
            return [known[tensor] for tensor in fetches]

        return run

    def _function(self, plan: Plan, specs: Mapping[str, tf.TensorSpec]) -> Run:
        given = {tensor: specs[tensor] for tensor in plan.inputs}
        dtypes = [spec.dtype for spec in given.values()]
        run = private_tf.called_directly(self.make(plan, given))
        return lambda flat: run(*map(_as_tensor, flat, dtypes))


def _stage(plan: Plan, run: Run) -> Callable[[_Known], None]:
    reads, gives = list(plan.inputs), plan.fetches

    def stage(known: _Known) -> None:
        # Without fetches there is something else, for what runs besides to hang on.
        known.update(zip(gives, run([known[tensor] for tensor in reads]), strict=False))

    return stage


def _engine_stage(parts: Parts, engine: Run) -> Callable[[_Known], None]:
    reads, gives = parts.entering, parts.leaving

    def stage(known: _Known) -> None:
        results = engine([_as_array(known[tensor]) for tensor in reads])
        known.update(zip(gives, results, strict=True))

    return stage


def _as_tensor(value: Value, dtype: tf.DType) -> tf.Tensor:
    # What is a tensor takes long to be made one.
    return value if isinstance(value, tf.Tensor) else tf.constant(value, dtype)


def _as_array(value: Value) -> np.ndarray:
    array = np.asarray(value)
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def taken_apart(
    whole: Plan, inputs: Mapping[str, tf.TensorSpec], names: Mapping[str, str], trust: Trust
) -> tuple[Parts, dict[str, tf.TensorSpec]]:
    """A plan's parts, and dtypes and shapes where they meet, as far as TensorFlow infers them.

    Args:
        whole: a plan without variables, whose inputs go by their placeholders.
        inputs: placeholder -> dtype and shape.
        names: what an input or output is called, by its tensor.
        trust: what may reach outside the module.

    Raises:
        UnsafeModuleError: something else may.
    """
    found = divide(whole.graph_def, whole.fetches)
    meeting = {*found.first, *found.entering, *found.leaving} - inputs.keys()
    specs = {**inputs, **_inferred(whole, sorted(meeting), inputs, trust)}
    return Parts.of(whole, found, specs, names), specs


def _inferred(
    whole: Plan, tensors: Iterable[str], inputs: Mapping[str, tf.TensorSpec], trust: Trust
) -> dict[str, tf.TensorSpec]:
    asked = dataclasses.replace(whole, fetches=tuple(tensors), shapes=(), updates=())
    makers = dict(zip(whole.resources.values(), whole.makers, strict=True))
    with tf.Graph().as_default():
        stand_ins = {
            tensor: make_resource(makers[tensor], _SCRATCH)
            if tensor in makers
            else tf.compat.v1.placeholder(node.attr["dtype"].type, _shape(inputs.get(tensor)))
            for node in whole.graph_def.node
            if node.op == "Placeholder"
            for tensor in [f"{node.name}:0"]
        }
        found, _ = import_graph(asked, stand_ins, trust)
        pairs = zip(asked.fetches, found, strict=True)
        return {name: tf.TensorSpec(_shape_of(tensor), tensor.dtype) for name, tensor in pairs}


def _shape_of(tensor: tf.Tensor) -> tf.TensorShape:
    """As TensorFlow infers it; of what a table of scalars holds, that of the keys."""
    if tensor.op.type == "LookupTableFindV2" and tensor.op.inputs[0].op.type == "HashTableV2":
        return tensor.op.inputs[1].shape
    return tensor.shape


def _shape(spec: tf.TensorSpec | None) -> tf.TensorShape:
    """That of an input; a handle or path is a scalar."""
    return tf.TensorShape([]) if spec is None else spec.shape
