"""A TF1 Hub module as a function from values to values."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.frontends.tf1.module import Module
from hub_keras_bridge.frontends.tf1.session_values import from_session
from hub_keras_bridge.plans.endpoint import Endpoint
from hub_keras_bridge.plans.program import Program


@contextmanager
def eval_function_for_module(
    spec: ModuleSpec | str | os.PathLike[str], tags: Collection[str] | None = None
) -> Iterator[Callable[..., Any]]:
    """Yields a function from values to values, as :class:`Module` has tensors.

    The function takes ``(inputs=None, signature=None, as_dict=None)`` as
    :meth:`Module.__call__` does, and returns NumPy arrays, or what a session
    returns of sparse and ragged tensors. It works until the ``with`` block ends.

    Example:

    >>> import tensorflow as tf, hub_keras_bridge as hub
    >>> def double():
    ...     x = tf.compat.v1.placeholder(tf.float32, [None])
    ...     hub.add_signature(inputs=x, outputs=2 * x)
    >>> with hub.eval_function_for_module(hub.create_module_spec(double)) as f:
    ...     f([1.0, 2.0]).tolist()
    [2.0, 4.0]

    Args:
        spec: a ModuleSpec, or what :func:`load_module_spec` takes.
        tags: which variant; the empty set if None.

    Raises:
        TagsError: no such variant. The function raises SignatureError and
            InputError as a module does.
    """
    with tf.Graph().as_default() as graph:
        module = Module(spec, tags=tags)
        program = Program(module.spec.variant(tags))
        applied: dict[tuple[str | None, bool], tuple[list[tf.Tensor], Any]] = {}
        initializers = [
            tf.compat.v1.global_variables_initializer(),
            tf.compat.v1.tables_initializer(),
        ]
        session = tf.compat.v1.Session(graph=graph)
        session.run(initializers)

    def evaluate(
        inputs: Any = None, signature: str | None = None, as_dict: bool | None = None
    ) -> Any:
        endpoint = Endpoint(program, signature, None, bool(as_dict))
        with private_tf.eager_mode():
            values = {
                name: from_session(value, endpoint.slot(name))
                for name, value in endpoint.by_name(inputs).items()
            }
            flat = [tensor.numpy() for tensor in endpoint.bind(values)]
        key = signature, bool(as_dict)
        if key not in applied:
            with graph.as_default():
                applied[key] = _applied(module, endpoint)
        placeholders, outputs = applied[key]
        return session.run(outputs, dict(zip(placeholders, flat, strict=True)))

    # Not `with session`, which would make it the caller's default session.
    try:
        yield evaluate
    finally:
        session.close()


def _applied(module: Module, endpoint: Endpoint) -> tuple[list[tf.Tensor], Any]:
    """Placeholders for a signature's flat inputs, and its outputs."""
    inputs, placeholders = {}, []
    for name, info in endpoint.facts.inputs.items():
        components = [
            tf.compat.v1.placeholder(spec.dtype, spec.shape) for spec in info.component_specs
        ]
        placeholders.extend(components)
        inputs[name] = info.pack(components)
    return placeholders, module(inputs, endpoint.signature, endpoint.as_dict)
