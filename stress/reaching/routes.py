"""All ways in which a person may come to run a module in safe mode, taken one by one."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import hub_keras_bridge as hub
from hub_keras_bridge.frontends.tf2.restored_model import RestoredModel
from hub_keras_bridge.plans.audit import audit_module
from hub_keras_bridge.running.runtime import _NO_GRADIENT
from stress.reaching.case import MARK
from stress.reaching.outcomes import Outcome, Step

v1 = tf.compat.v1

# What TensorFlow says of a gradient that is not to be had; so of native layers, too.
_NO_GRADIENTS = (_NO_GRADIENT, "No gradient defined for operation")

_ROOT = Path(__file__).parent.parent.parent
_MOST_ELEMENTS = 1 << 16


class _NotTried(Exception):
    """A step that has nothing to do with this module."""


_ENGINES = ["tensorflow", *sorted(hub.ENGINES)]


class Routes:
    """Takes a module by every route.

    Args:
        folder: the module's.
        begin: is told the name of each step before it begins.
        choice: which signature is taken by the routes that take one.
    """

    def __init__(self, folder: Path, begin: Callable[[str], None], choice: int = 0) -> None:
        self._folder = str(folder)
        self._begin = begin
        self._choice = choice
        self._is_safe: bool | None = None
        self._steps: list[Step] = []

    def take(self) -> list[Step]:
        """Takes them all; how each step ended."""
        spec = self._step("read", lambda: _read(self._folder))
        if spec is not None:
            audit = self._step("audit", lambda: audit_module(spec))
            self._is_safe = None if audit is None else audit.is_safe
            self._layer_of(spec)
        module = self._loaded()
        if isinstance(module, RestoredModel):
            self._layer("layer", {}, lambda: tf.nest.map_structure(value, module.input_specs))
        if not isinstance(module, RestoredModel) or self._choice % 4 == 0:
            # Where TensorFlow 2's are loaded just as elsewhere.
            self._in_graph()
        return self._steps

    def _step(self, name: str, action: Callable[[], Any]) -> Any:
        self._begin(name)
        try:
            result = action()
        except _NotTried:
            return None
        except Exception as error:
            self._steps.append(self._judged(name, error))
            return None
        self._steps.append(Step(name, Outcome.RAN))
        return result

    def _judged(self, name: str, error: Exception) -> Step:
        told = f"{type(error).__name__}: {str(error)[:1500]}"
        if isinstance(error, hub.UnsafeModuleError):
            # Of nodes that no signature needs, which prune and inner tensors run, it says nothing.
            contradicts = self._is_safe is True and not name.startswith(("prune", "inner"))
            return Step(name, Outcome.CONTRADICTION if contradicts else Outcome.UNSAFE, told)
        if isinstance(error, hub.HubError):
            return Step(name, Outcome.DAMAGED, told)
        if isinstance(error, LookupError) and any(each in str(error) for each in _NO_GRADIENTS):
            return Step(name, Outcome.COMPUTING, told)
        if isinstance(error, tf.errors.OpError) and name.startswith(("call", "hub.Module")):
            return Step(name, Outcome.COMPUTING, told)
        return Step(name, Outcome.RAW, told + _lines(error))

    def _layer_of(self, spec: hub.ModuleSpec) -> None:
        uses = [(t, s) for t in spec.get_tags() for s in spec.get_signature_names(t)]
        if not uses:
            return
        tags, signature = uses[self._choice % len(uses)]
        infos = spec.get_input_info_dict(signature, tags)
        self._layer(
            f"layer {sorted(tags)}, {signature!r}",
            {"tags": tags, "signature": signature, "as_dict": True},
            lambda: {name: value(info.type_spec) for name, info in infos.items()},
        )
        if self._choice % 3 == 0:
            self._inner(spec, tags, signature)
        if self._choice % 5 == 0:
            self._as_saved_model()

    def _inner(self, spec: hub.ModuleSpec, tags: Any, signature: str) -> None:
        """A tensor that may be in no signature."""
        names = list(spec.variant(tags).inner_tensors.nodes)
        key = f"{names[self._choice * 11 % len(names)]}:0"
        infos = spec.get_input_info_dict(signature, tags)
        layer = self._step(f"inner {key}", lambda: _inner(self._folder, tags, signature, key))
        if layer is not None:
            given = {n: i.type_spec for n, i in infos.items()}
            self._step(f"call inner {key}", lambda: layer(tf.nest.map_structure(value, given)))

    def _as_saved_model(self) -> None:
        """As what a TF1 program saved, which is no module."""
        with tempfile.TemporaryDirectory() as parent:
            folder = shutil.copytree(self._folder, os.path.join(parent, "saved_model"))
            os.remove(os.path.join(folder, "tfhub_module.pb"))
            module = self._step("load as a SavedModel", lambda: _saved_model(folder))
            for name in list(module.signatures)[:2] if module is not None else ():
                self._step(f"call signature {name!r}", lambda: _signature(module.signatures[name]))  # noqa: B023

    def _layer(self, name: str, chosen: dict[str, Any], inputs: Callable[[], Any]) -> None:
        layer = self._step(name, lambda: hub.ModuleLayer(self._folder, trainable=True, **chosen))
        given = self._step(f"inputs of {name}", inputs) if layer is not None else None
        if given is None:
            return
        again = {key: chosen[key] for key in ("signature", "as_dict") if key in chosen}
        steps = [
            (f"call {name}", lambda: layer(given)),
            (f"symbols of {name}", lambda: _symbolic(layer, given)),
            (f"call to train {name}", lambda: _train(layer, given)),
            (f"jit of {name}", lambda: layer.supports_jit),
            (f"call stateless {name}", lambda: _stateless(layer, given)),
            (f"call sharing {name}", lambda: layer.with_signature(**again)(given)),
            (f"call compiled {name}", lambda: self._compiled(layer, given)),
            (f"build {name}", layer.build),
        ]
        # The first call of a layer that is not built does other things than a later one.
        first = self._choice // 7 % len(steps)
        for step in (*steps[first:], *steps[:first]):
            self._step(*step)

    def _compiled(self, layer: hub.ModuleLayer, given: Any) -> None:
        engine = _ENGINES[self._choice % len(_ENGINES)]
        hub.compile(layer, engine=engine, examples=given)(given)

    def _loaded(self) -> Any:
        module = self._step("load", lambda: hub.load(self._folder))
        if module is None:
            return None
        for name in list(module.signatures)[:3]:
            signature = self._step(f"signature {name!r}", lambda: module.signatures[name])  # noqa: B023
            if signature is not None:
                self._step(f"call signature {name!r}", lambda: _signature(signature))  # noqa: B023
        for position, loss in enumerate(module.regularization_losses[:2]):
            self._step(f"call loss {position}", loss)
        if isinstance(module, RestoredModel):
            self._step("call loaded", lambda: _loaded_call(module))
        else:
            self._pruned(module)
        return module

    def _pruned(self, module: Any) -> None:
        """Runs nodes of its graph that no signature may need."""
        graph = self._step("graph", lambda: module.graph)
        if graph is None:
            return
        # Marks alone are harmless.
        operations = [each for each in graph.get_operations() if not each.name.startswith(MARK)]
        for position in range(2):
            wanted = operations[(self._choice * 7 + position) % len(operations)]
            function = self._step(f"prune {wanted.name}", lambda: _pruned(module, wanted))  # noqa: B023
            if function is not None:
                self._step(f"call pruned {wanted.name}", function)

    def _in_graph(self) -> None:
        with tf.Graph().as_default():
            module = self._step("load in a graph", lambda: hub.load(self._folder))
            if not hasattr(module, "_serve"):
                return
            for name in list(module.signatures)[:2]:
                self._step(f"call in a session {name!r}", lambda: _session(module, name))  # noqa: B023
        with tf.Graph().as_default():
            self._step("hub.Module", lambda: _applied(self._folder, self._choice))


def _read(folder: str) -> hub.ModuleSpec:
    if not os.path.exists(os.path.join(folder, "tfhub_module.pb")):
        raise _NotTried
    spec = hub.load_module_spec(folder)
    _ = spec.variables, repr(spec)
    for tags in spec.get_tags():
        for signature in spec.get_signature_names(tags):
            spec.get_input_info_dict(signature, tags), spec.get_output_info_dict(signature, tags)
    return spec


def _symbolic(layer: Any, given: Any) -> Any:
    flat = tf.nest.flatten(given)
    if not all(tf.is_tensor(each) and each.shape.rank for each in flat):
        raise _NotTried
    try:
        symbols = tf.nest.map_structure(
            lambda each: keras.Input(batch_shape=[None, *each.shape[1:]], dtype=each.dtype.name),
            given,
        )
    except ValueError as error:
        raise _NotTried from error  # Keras does not know the dtype.
    try:
        return keras.Model(symbols, layer(symbols))
    except hub.SignatureError as error:
        raise _NotTried from error  # Keras needs to know the rank.


def _train(layer: Any, given: Any) -> None:
    with tf.GradientTape() as tape:
        loss = _loss([layer(given, training=True), layer.losses])
    tape.gradient(loss, [each.value for each in layer.trainable_weights])


def _loss(nest: Any) -> tf.Tensor:
    found = tf.nest.flatten(nest, expand_composites=True)
    floats = [each for each in found if tf.is_tensor(each) and each.dtype.is_floating]
    return tf.add_n([tf.reduce_sum(tf.cast(each, tf.float32)) for each in floats] or [0.0])


def _stateless(layer: Any, given: Any) -> None:
    layer.build()
    values = [
        [tf.identity(each.value) for each in variables]
        for variables in (layer.trainable_variables, layer.non_trainable_variables)
    ]
    try:
        layer.stateless_call(*values, given, training=True)
    except hub.BackendError as error:
        raise _NotTried from error  # It needs its variables: a TF2 SavedModel always does.
    except ValueError as error:
        if "in StatelessScope" not in str(error):
            raise
        raise _NotTried from error  # Keras takes no values of changing shapes.


def _inner(folder: str, tags: Any, signature: str, key: str) -> hub.ModuleLayer:
    try:
        return hub.ModuleLayer(
            folder, tags=tags, training_tags=tags, signature=signature, output_key=key
        )
    except hub.SignatureError as error:
        raise _NotTried from error  # It has no one value, or needs another input.


def _saved_model(folder: str) -> Any:
    try:
        return hub.load(folder)
    except hub.TagsError as error:
        raise _NotTried from error  # Several graphs, and none is for serving.


def _signature(signature: Any) -> None:
    _, specs = signature.structured_input_signature
    signature(**_values(specs))


def _values(specs: dict[str, tf.TypeSpec]) -> dict[str, Any]:
    if any(name.endswith("_dense_shape") for name in specs):
        raise _NotTried  # These must fit each other.
    return {name: value(spec) for name, spec in specs.items()}


def _loaded_call(module: Any) -> None:
    if module.runs is None:
        raise _NotTried
    given = tf.nest.map_structure(value, module.input_specs)
    with tf.GradientTape() as tape:
        loss = _loss(module(given, training=True))
    tape.gradient(loss, list(module.trainable_variables))


def _pruned(module: Any, wanted: tf.Operation) -> Any:
    try:
        return module.prune([], wanted)
    except hub.SignatureError as error:
        raise _NotTried from error  # It needs an input.


def _applied(folder: str, choice: int) -> None:
    if not os.path.exists(os.path.join(folder, "tfhub_module.pb")):
        raise _NotTried
    spec = hub.load_module_spec(folder)
    tags = spec.get_tags()[choice % len(spec.get_tags())]
    module = hub.Module(spec, trainable=True, tags=tags, safe_mode=True)
    for name in module.get_signature_names()[:2]:
        infos = module.get_input_info_dict(name)
        outputs = module({n: value(i.type_spec) for n, i in infos.items()}, name, as_dict=True)
        flat = tf.nest.flatten(outputs, expand_composites=True)
        wanted = [*flat, *v1.get_collection(v1.GraphKeys.UPDATE_OPS)]
        with contextlib.suppress(Exception):  # A program's own call of TensorFlow.
            floats = [each for each in flat if each.dtype.is_floating]
            v1.gradients(floats, v1.trainable_variables())
        with v1.Session() as session:
            session.run([v1.global_variables_initializer(), v1.tables_initializer()])
            session.run(wanted)


def _session(module: Any, name: str) -> None:
    signature = module.signatures[name]
    _, specs = signature.structured_input_signature
    outputs = signature(**_values(specs))
    with v1.Session() as session:
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        session.run(tf.nest.flatten(outputs, expand_composites=True))


def value(spec: tf.TypeSpec) -> Any:
    """Something that fits."""
    if spec.shape.rank is None or spec.shape.rank > 6:
        raise _NotTried
    sizes = [2 if size is None else size for size in spec.shape]
    if np.prod(sizes, dtype=np.float64) > _MOST_ELEMENTS:
        raise _NotTried
    dense = tf.fill(sizes, "a") if spec.dtype == tf.string else _ones(sizes, spec.dtype)
    if isinstance(spec, tf.SparseTensorSpec):
        return tf.sparse.from_dense(dense)
    if isinstance(spec, tf.RaggedTensorSpec):
        return tf.RaggedTensor.from_tensor(
            dense, ragged_rank=max(spec.ragged_rank, 1), row_splits_dtype=spec.row_splits_dtype
        )
    return dense


def _ones(sizes: list[int], dtype: tf.DType) -> tf.Tensor:
    try:
        return tf.ones(sizes, dtype)
    except (TypeError, ValueError, tf.errors.OpError) as error:
        raise _NotTried from error  # No value can be of this dtype.


def _lines(error: BaseException) -> str:
    """Lines of the package that led to an error, and the last of all."""
    frames = traceback.extract_tb(error.__traceback__)
    shown = [f for f in frames if "hub_keras_bridge" in f.filename]
    shown += [frames[-1]] if frames and frames[-1] not in shown else []
    return "".join(f"\n  {os.path.relpath(f.filename, _ROOT)}:{f.lineno} {f.name}" for f in shown)
