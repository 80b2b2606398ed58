"""What there is to compare about one module, once this package had its turn."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import hub_keras_bridge as hub
from original import bridge
from original.inputs import Inputs, fit, random_inputs
from original.subjects import Lessons, Subject

_RATE = 0.01
_STEPS_AFTER = 2


@dataclass(frozen=True)
class Call:
    """One application of a signature."""

    tags: frozenset[str]
    signature: str
    inputs: Inputs


@dataclass
class Case:
    """A subject after this package had its turn.

    Attributes:
        layer: the layer that it tuned and exported.
        path: the module that both libraries read.
        weights: what its variables have to be.
        calls: the applications to compare, by number.
        further: how to train it further; None for a module without variables.
    """

    subject: Subject
    spec: hub.ModuleSpec
    layer: hub.ModuleLayer
    path: Path
    weights: dict[str, Any]
    further: Lessons | None
    calls: dict[str, Call] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.subject.name

    @property
    def retrained(self) -> Path:
        """Where the original exports what it trained further."""
        return self.path.with_name(f"{self.path.name} retrained")


def prepare(subject: Subject, exported: Path) -> Case:
    """Tunes and exports a module with this package."""
    print(f"{subject.name} ...", file=sys.stderr, flush=True)
    generator = np.random.default_rng(0)
    spec = hub.load_module_spec(subject.handle)
    calls = _calls(subject, spec, generator)
    lessons = subject.lessons or _random_lessons(subject, spec, calls)
    if lessons is not None:
        layer = bridge.layer_to_tune(subject.handle, lessons)
    else:
        tags = spec.get_tags()[0]
        signature = spec.get_signature_names(tags)[0]
        layer = hub.ModuleLayer(subject.handle, tags=tags, signature=signature, as_dict=True)
    if not subject.as_it_is:
        if lessons is not None:
            bridge.tune(layer, lessons)
        layer.export_module(exported)
    further = lessons and replace(lessons, batches=lessons.batches[:1] * _STEPS_AFTER)
    return Case(
        subject,
        spec,
        layer,
        Path(str(subject.handle)) if subject.as_it_is else exported,
        bridge.variables(layer),
        further,
        {str(number): call for number, call in enumerate(calls)},
    )


def _calls(subject: Subject, spec: hub.ModuleSpec, generator: np.random.Generator) -> list[Call]:
    """Every signature of every variant, with recorded inputs where they fit."""
    calls = []
    for tags in sorted(spec.get_tags(), key=sorted):
        for signature in spec.get_signature_names(tags):
            recorded = [r for r in subject.recordings if r.signature == signature]
            known = [r.inputs for r in recorded if r.tags == tags] or [
                r.inputs for r in recorded if fit(r.inputs, spec, tags, signature)
            ]
            if not known:
                known = [random_inputs(spec, tags, signature, generator)]
            calls.extend(Call(tags, signature, values) for values in known)
    return calls


def _random_lessons(subject: Subject, spec: hub.ModuleSpec, calls: list[Call]) -> Lessons | None:
    """One step towards zero, for a module that has variables to train."""
    if not any(facts.trainable for facts in spec.variables):
        return None
    for call in calls:
        outputs = spec.get_output_info_dict(call.signature, call.tags)
        floating = [
            key
            for key, info in outputs.items()
            if isinstance(info.type_spec, tf.TensorSpec) and info.dtype.is_floating
        ]
        if call.tags or not floating or not call.inputs:
            continue
        key = "default" if "default" in floating else floating[0]
        given = bridge.apply(subject.handle, call.tags, call.signature, call.inputs)
        target = {"value": np.zeros_like(given[key]["value"])}
        return Lessons(call.tags, call.signature, key, _RATE, [(call.inputs, target)])
    return None
