"""What the original library makes of modules: run inside its environment.

``python -m original.answer FOLDER`` reads ``questions.json`` and
``questions.npz`` there and writes ``answers.json`` and ``answers.npz``. All is
done as TF1 programs do it: a graph, ``hub.Module``, a session.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_hub as hub
from google.protobuf import empty_pb2

from original import exchange

_KEYS = tf.compat.v1.GraphKeys


def main(folder: Path) -> None:
    questions = json.loads((folder / "questions.json").read_text())
    inputs = exchange.read(folder / "questions.npz")
    facts, arrays = {}, {}
    for name, question in questions.items():
        facts[name], arrays[name] = _answer(question, inputs.get(name, {}))
    (folder / "answers.json").write_text(json.dumps(facts))
    exchange.write(folder / "answers.npz", arrays)


def _answer(question: dict[str, Any], inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Facts, and arrays; what raised is a traceback among the facts' errors."""
    errors: dict[str, str] = {}

    def attempt(what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Exception:
            errors[what] = traceback.format_exc()
            return {}

    path = question["path"]
    variants = attempt("facts", _facts, path, question["attachments"])
    arrays = {
        "variables": {
            json.dumps(tags): attempt(f"variables {tags}", _variables, path, tags)
            for tags in question["tags"]
        },
        "calls": {
            number: attempt(f"call {number}", _apply, path, call, _at(inputs, "calls", number))
            for number, call in question["calls"].items()
        },
    }
    if question["tuning"]:
        arrays["tuning"] = attempt("tuning", _tune, path, question["tuning"], inputs.get("tuning"))
    return {"variants": variants, "errors": errors}, arrays


def _at(tree: dict[str, Any], *keys: str) -> dict[str, Any]:
    for key in keys:
        tree = tree.get(key, {})
    return tree


def _facts(path: str, attachments: list[str]) -> dict[str, Any]:
    spec = hub.load_module_spec(path)
    return exchange.describe(spec, lambda tags: _attachments(spec, attachments, tags))


def _attachments(spec: hub.ModuleSpec, keys: list[str], tags: set[str]) -> dict[str, str]:
    # A message without fields keeps all it was parsed from as unknown fields.
    found = {key: spec.get_attached_message(key, empty_pb2.Empty, tags) for key in keys}
    return {key: m.SerializeToString().hex() for key, m in found.items() if m is not None}


def _variables(path: str, tags: list[str]) -> dict[str, Any]:
    with tf.Graph().as_default():
        module = hub.Module(path, tags=set(tags))
        with _session() as session:
            return _values(module, session)


def _values(module: hub.Module, session: tf.compat.v1.Session) -> dict[str, Any]:
    """Name -> slice number -> value; a variable that is not partitioned is slice 0."""
    return {
        name: {
            str(number): session.run(part)
            for number, part in enumerate(held if isinstance(held, list) else [held])
        }
        for name, held in module.variable_map.items()
    }


def _apply(path: str, call: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
    """All outputs, twice: what differs between the two is random."""
    with tf.Graph().as_default():
        module = hub.Module(path, tags=set(call["tags"]))
        outputs = _outputs(module, call["signature"], inputs)
        with _session() as session:
            return {
                run: {key: exchange.to_parts(v) for key, v in session.run(outputs).items()}
                for run in ("first", "second")
            }


def _outputs(module: hub.Module, signature: str, inputs: dict[str, Any]) -> dict[str, Any]:
    given = {key: exchange.to_tensor(parts) for key, parts in inputs.items()}
    return module(given, signature=signature, as_dict=True)


def _tune(path: str, tuning: dict[str, Any], arrays: dict[str, Any]) -> dict[str, Any]:
    """Plain gradient descent, a few steps on one batch; then exports the module."""
    with tf.Graph().as_default():
        module = hub.Module(path, trainable=True, tags=set(tuning["tags"]))
        output = _outputs(module, tuning["signature"], arrays["inputs"])[tuning["output"]]
        error = tf.reduce_mean(tf.square(output - arrays["target"]["value"]))
        penalties = tf.compat.v1.get_collection(_KEYS.REGULARIZATION_LOSSES)
        loss = tf.add_n([error, *penalties])
        with tf.control_dependencies(tf.compat.v1.get_collection(_KEYS.UPDATE_OPS)):
            step = tf.compat.v1.train.GradientDescentOptimizer(tuning["rate"]).minimize(loss)
        with _session() as session:
            losses = []
            for _ in range(tuning["steps"]):
                # By itself, so that it is the loss before the step.
                losses.append(session.run(loss))
                session.run(step)
            module.export(tuning["export"], session)
            return {
                "losses": np.array(losses),
                "variables": _values(module, session),
                "output": exchange.to_parts(session.run(output)),
            }


def _session() -> tf.compat.v1.Session:
    session = tf.compat.v1.Session()
    session.run(tf.compat.v1.global_variables_initializer())
    session.run(tf.compat.v1.tables_initializer())
    return session


if __name__ == "__main__":
    main(Path(sys.argv[1]))
