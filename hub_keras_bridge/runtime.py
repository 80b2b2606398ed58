"""Runs plans: the functions, tables and asset paths of one loaded module.

Each plan is imported into one ``tf.compat.v1.wrap_function``. Variables belong
to the caller and are captured, so that all variants and signatures share them.
"""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2, node_def_pb2

from hub_keras_bridge import compat
from hub_keras_bridge.errors import FormatError, HubError
from hub_keras_bridge.plan import (
    Plan,
    losses_fed_by,
    plan,
    plan_call,
    plan_initialization,
    standing_losses,
)
from hub_keras_bridge.variant import Variant

Function = Callable[..., list[tf.Tensor]]

_SCOPE = "module/"
_NO_GRADIENT = (
    "This TF1 Hub module runs, but its gradient cannot be trusted: it has control flow that could "
    "not be turned into functions, or functions with gradients of their own. Use the layer with "
    "trainable=False, on inputs that need no gradient."
)


class Table(tf.saved_model.experimental.TrackableResource):
    """A lookup table of a module, in a resource of its own.

    TF1 graphs find tables by ``shared_name``, which TensorFlow 2 reads in the
    whole process: two modules with a ``vocab.txt`` would share one table.

    Args:
        node: the op that makes the table.
    """

    def __init__(self, node: node_def_pb2.NodeDef) -> None:
        super().__init__(device="CPU")
        self._node = node
        self._shared_name = f"hub_keras_bridge_{uuid.uuid4().hex}"
        # Adds the ops that fill the table to the current graph.
        self.filling: Function | None = None

    def _create_resource(self) -> tf.Tensor:
        # By name only in a SavedModel: TensorFlow caches a kernel for every
        # name that is ever run eagerly, for good.
        name = None if tf.executing_eagerly() else self._shared_name
        return make_resource(self._node, name)

    def _initialize(self) -> None:
        if self.filling is None:
            return
        if tf.executing_eagerly():
            compat.wrap_function(self.filling, [])()
        else:
            # In the graph of a SavedModel's initializer itself: a call of a
            # function there would be pruned, since nothing reads its result.
            self.filling()

    def _destroy_resource(self) -> None:
        if not tf.executing_eagerly():  # a nameless table goes with its handle
            tf.raw_ops.DestroyResourceOp(resource=self.resource_handle, ignore_lookup_error=True)


class Runtime(tf.Module):
    """The running side of a module.

    Functions and tables are made when first needed and kept.

    Args:
        variables: node of a variable -> the Keras variable that holds its value.
        assets: file name below ``assets/`` -> path of the file.
    """

    def __init__(self, variables: Mapping[str, keras.Variable], assets: Mapping[str, str]) -> None:
        super().__init__(name="hub_module")
        # Tracked, so that tf.saved_model.save finds what functions capture.
        self.tables: list[Table] = []
        self.assets: list[tf.saved_model.Asset] = []
        # Not tracked: dicts with keys that are no strings break an export.
        self._kept = _Kept(dict(variables), dict(assets))

    def call_function(
        self,
        variant: Variant,
        signature: str,
        outputs: Sequence[str],
        *,
        training: bool,
        watch: bool = True,
    ) -> Function:
        """The function of one kind of call.

        Args:
            variant: which graph.
            signature: name of the signature.
            outputs: names of the outputs wanted.
            training: whether update ops run too.
            watch: whether a gradient tape sees the variables; a frozen layer
                needs none of what a tape would keep.

        Returns:
            A function from the signature's flat inputs to its flat outputs.
        """

        def build() -> Function:
            chosen = plan_call(variant, signature, outputs, training=training)
            return self._import(chosen, variant, signature, watch)

        return self._once(("call", variant.tags, signature, tuple(outputs), training, watch), build)

    def standing_losses(self, variant: Variant) -> list[tf.Tensor]:
        """The regularization losses that need no input, of current weights."""

        def build() -> Function:
            losses = standing_losses(variant)
            return self._import(plan(variant, losses), variant) if losses else _no_losses

        return self._once(("standing losses", variant.tags), build)()

    def losses_function(self, variant: Variant, signature: str) -> Function:
        """From a signature's flat inputs to the losses that depend on them."""

        def build() -> Function:
            facts = variant.signature(signature)
            losses = losses_fed_by(variant, facts)
            if not losses:
                return _no_losses
            chosen = plan(variant, losses, inputs=facts.input_tensors)
            return self._import(chosen, variant, signature)

        return self._once(("fed losses", variant.tags, signature), build)

    def _once(self, key: tuple[Any, ...], build: Callable[[], Function]) -> Function:
        function = self._kept.functions.get(key)
        if function is None:
            with self._kept.lock, tf.init_scope():
                function = self._kept.functions.get(key) or build()
                self._kept.functions[key] = function
        return function

    def _import(
        self, chosen: Plan, variant: Variant, signature: str | None = None, watch: bool = True
    ) -> Function:
        facts = variant.signature(signature) if signature else None
        handles = {
            placeholder: self._table(variant, node).resource_handle
            for node, placeholder in chosen.resources.items()
        }
        inputs = facts.input_tensors if facts else []
        specs = facts.input_specs if facts else []
        try:
            run = compat.wrap_function(self._body(chosen, handles, inputs, watch), specs)
            return run if chosen.differentiable else _without_gradient(run, specs)
        except HubError:
            raise
        except (ValueError, TypeError, LookupError, tf.errors.OpError) as error:
            raise FormatError(
                "Cannot import the graph of a TF1 Hub module.",
                chosen.subject,
                expected="a graph that this TensorFlow accepts",
                found=f"{type(error).__name__}: {error}",
                advice="fetch the module again; if it is intact, report this message",
            ) from error

    def _body(
        self,
        chosen: Plan,
        handles: Mapping[str, tf.Tensor],
        inputs: Sequence[str],
        watch: bool,
    ) -> Function:
        """A Python function that adds a plan to the current graph."""
        paths = {
            placeholder: self._asset(name).asset_path
            for name, placeholders in chosen.assets.items()
            for placeholder in placeholders
        }

        def body(*arguments: tf.Tensor) -> list[tf.Tensor]:
            given = dict(zip(inputs, arguments, strict=True))
            input_map = {p: given[tensor] for tensor, p in chosen.inputs.items()}
            for node, placeholder in chosen.variables.items():
                variable = self._variable(node, chosen)
                input_map[placeholder] = compat.capture_variable(variable, watch)
            for placeholder, value in {**handles, **paths}.items():
                input_map[placeholder] = compat.capture(value)
            return import_plan(chosen, input_map, given)

        return body

    def _variable(self, node: str, chosen: Plan) -> tf.Variable:
        if node not in self._kept.variables:
            raise FormatError(
                f"Cannot run a TF1 Hub module: variable {node!r} has no value.",
                chosen.subject,
                expected="the variable in the module's checkpoint",
                found="none; it was published from a variant without it",
                advice="use tags=... or training_tags=... of a variant whose variables were saved",
            )
        # Asked for late: Keras may make a variable before it has a value.
        return compat.raw_variable(self._kept.variables[node])

    def _asset(self, name: str) -> tf.saved_model.Asset:
        if name not in self._kept.asset_objects:
            asset = tf.saved_model.Asset(self._kept.asset_paths[name])
            self._kept.asset_objects[name] = asset
            self.assets.append(asset)
        return self._kept.asset_objects[name]

    def _table(self, variant: Variant, node: str) -> Table:
        """The table behind a node; variants with the same table share it."""
        filling = plan_initialization(variant, node)
        key = _table_identity(variant.nodes[node], filling)
        if key not in self._kept.tables:
            table = Table(variant.nodes[node])
            if filling is not None:
                handles = {
                    # An initializer may fill several tables at once.
                    placeholder: table.resource_handle
                    if other == node
                    else self._table(variant, other).resource_handle
                    for other, placeholder in filling.resources.items()
                }
                table.filling = self._body(filling, handles, [], watch=False)
                for number, name in enumerate(sorted(filling.assets)):
                    compat.track_child(table, self._asset(name), f"asset_{number}")
                table._initialize()  # noqa: SLF001
            self._kept.tables[key] = table
            self.tables.append(table)
        return self._kept.tables[key]


class _Kept:
    """What a Runtime holds that TensorFlow is not to track."""

    def __init__(self, variables: dict[str, keras.Variable], asset_paths: dict[str, str]) -> None:
        self.variables = variables
        self.asset_paths = asset_paths
        self.asset_objects: dict[str, tf.saved_model.Asset] = {}
        self.tables: dict[str, Table] = {}
        self.functions: dict[tuple[Any, ...], Function] = {}
        self.lock = threading.RLock()


def import_graph(
    chosen: Plan,
    input_map: Mapping[str, tf.Tensor],
    given: Mapping[str, tf.Tensor],
    scope: str = _SCOPE,
) -> tuple[list[tf.Tensor], list[tf.Operation]]:
    """Imports a plan into the current graph.

    Args:
        chosen: the plan.
        input_map: placeholder -> tensor of the current graph.
        given: tensor of a signature -> tensor of the current graph; an output
            may be one of them.
        scope: absolute name scope to import into, with its slash.

    Returns:
        The tensors that the plan fetches and the ops that are its updates.
    """
    current = tf.compat.v1.get_default_graph()
    if chosen.graph_def.node:
        tf.graph_util.import_graph_def(
            chosen.graph_def,
            name=scope,
            input_map=dict(input_map),
            producer_op_list=chosen.producer_ops,
        )
    fetched = [
        given[tensor] if tensor in given else current.get_tensor_by_name(f"{scope}{tensor}")
        for tensor in chosen.fetches
    ]
    for tensor, shape in zip(fetched, chosen.shapes, strict=False):
        # The graph may not tell what the publisher knew; never trust a clash.
        if tensor.shape.is_compatible_with(shape):
            tensor.set_shape(shape)
    return fetched, [current.get_operation_by_name(f"{scope}{op}") for op in chosen.updates]


def import_plan(
    chosen: Plan, input_map: Mapping[str, tf.Tensor], given: Mapping[str, tf.Tensor]
) -> list[tf.Tensor]:
    """As :func:`import_graph`, with outputs that wait for the updates."""
    fetched, updates = import_graph(chosen, input_map, given)
    if not updates:
        return fetched
    with tf.control_dependencies(updates):
        # Without fetches there must be something for the updates to hang on.
        return [tf.identity(tensor) for tensor in fetched] or [tf.constant(True)]


def _without_gradient(run: Function, specs: list[tf.TensorSpec]) -> Function:
    """The same function, whose gradient is an error that says why."""

    def blocked(*inputs: tf.Tensor) -> list[tf.Tensor]:
        return [
            tf.raw_ops.PreventGradient(input=tensor, message=_NO_GRADIENT)
            for tensor in run(*inputs)
        ]

    # Around the function, so that TensorFlow meets the error first.
    return compat.wrap_function(blocked, specs)


def _no_losses(*_: tf.Tensor) -> list[tf.Tensor]:
    return []


def _table_identity(node: node_def_pb2.NodeDef, filling: Plan | None) -> str:
    parts = [node.SerializeToString(deterministic=True)]
    if filling is not None:
        parts.append(filling.graph_def.SerializeToString(deterministic=True))
        parts.append(repr(sorted(filling.assets.items())).encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def make_resource(node: node_def_pb2.NodeDef, shared_name: str | None) -> tf.Tensor:
    """Runs or adds the op that makes a table.

    Args:
        node: the op as published.
        shared_name: a name of its own; None for a table without a name, where
            the op has such a form.
    """
    attributes = {
        name: _attribute(value)
        for name, value in node.attr.items()
        if name not in ("container", "shared_name", "use_node_name_sharing")
        and not name.startswith("_")
    }
    nameless = getattr(tf.raw_ops, f"Anonymous{node.op.removesuffix('V2')}", None)
    if shared_name is None and nameless is not None:
        return nameless(**attributes)
    named = getattr(tf.raw_ops, node.op)
    return named(shared_name=shared_name or uuid.uuid4().hex, **attributes)


def _attribute(value: attr_value_pb2.AttrValue) -> Any:
    kind = value.WhichOneof("value")
    plain = getattr(value, kind)
    return {"type": tf.as_dtype, "shape": tf.TensorShape}.get(kind, lambda same: same)(plain)
