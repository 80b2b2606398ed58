"""Runs plans: the functions, tables and asset paths of one loaded module.

Each plan is imported into one ``tf.compat.v1.wrap_function``. Variables belong
to the caller and are captured, so that all variants and signatures share them.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import keras
import tensorflow as tf
from tensorflow.core.framework import node_def_pb2

from hub_keras_bridge.compat import private
from hub_keras_bridge.errors import FormatError, Subject
from hub_keras_bridge.facts.variant import Variant
from hub_keras_bridge.graphs import library
from hub_keras_bridge.graphs.refusing import refusing
from hub_keras_bridge.plans import audit
from hub_keras_bridge.plans.plan import (
    Plan,
    losses_fed_by,
    plan,
    plan_call,
    plan_initialization,
    standing_losses,
    tables_read,
)
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running import replicas
from hub_keras_bridge.running.lookup_tables import Function, ModuleFile, ReadFile, Table
from hub_keras_bridge.running.place import need_threads
from hub_keras_bridge.running.seeds import following_global_seed

Variable: TypeAlias = keras.Variable | tf.Variable

_SCOPE = "module/"
_NO_GRADIENT = (
    "This TF1 Hub module runs, but its gradient cannot be trusted: it has control flow that could "
    "not be turned into functions, or functions with gradients of their own. Use the layer with "
    "trainable=False, on inputs that need no gradient."
)


class Runtime(tf.Module):
    """The running side of a module.

    Functions and tables are made when first needed and kept.

    Args:
        variables: node of a variable -> what holds its value, a variable of
            Keras or of TensorFlow. All are there when the first function is
            asked for.
        assets: file name below ``assets/`` -> path of the file.
        trust: what may reach outside the module; a graph with anything else
            that may is not imported.
    """

    def __init__(
        self, variables: Mapping[str, Variable], assets: Mapping[str, str], trust: Trust
    ) -> None:
        super().__init__(name="hub_module")
        # Tracked, so that tf.saved_model.save finds what functions capture.
        self.tables: list[Table] = []
        self.files: list[ReadFile] = []
        # Not tracked: dicts with keys that are no strings break an export.
        self._kept = _Kept(variables, dict(assets))
        self._trust = trust

    def hold_vocabularies(self) -> None:
        """Lets what is saved from now on fill its tables with constants, not from files."""
        with self._kept.lock:
            self._kept.holds_vocabularies = True
            for table in self.tables:
                table.hold_entries()

    @contextlib.contextmanager
    def filling_tables(
        self, variant: Variant, signature: str, outputs: Sequence[str]
    ) -> Iterator[None]:
        """Fills the tables of a kind of call beside what is done meanwhile.

        A large vocabulary takes about as long as large weights do to be read. What
        fails here is tried again by the call, which says why.
        """
        needed = tables_read(variant, signature, outputs)
        if not needed:
            yield
            return

        def fill() -> None:
            need_threads(variant.subject)
            with self._kept.lock:
                for node in needed:
                    self._table(variant, node)

        with ThreadPoolExecutor(1) as beside:
            beside.submit(fill)
            yield

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

        need_threads(variant.subject)

        def build(replica: int | None) -> Function:
            chosen = plan_call(variant, signature, outputs, training=training)
            run = self._import(chosen, replica, variant, _inputs(variant, signature), watch)
            run = run if watch else self._mentioning(run, chosen, replica)
            return run if replica is None else self._averaging(run, chosen)

        return self._once(("call", variant.tags, signature, tuple(outputs), training, watch), build)

    def standing_losses(self, variant: Variant) -> list[tf.Tensor]:
        """The regularization losses that need no input, of current weights."""
        need_threads(variant.subject)

        def build(replica: int | None) -> Function:
            losses = standing_losses(variant)
            return self._import(plan(variant, losses), replica, variant) if losses else _no_losses

        return self._once(("standing losses", variant.tags), build)()

    def losses_function(self, variant: Variant, signature: str) -> Function:
        """From a signature's flat inputs to the losses that depend on them."""
        need_threads(variant.subject)

        def build(replica: int | None) -> Function:
            facts = variant.signature(signature)
            losses = losses_fed_by(variant, facts)
            if not losses:
                return _no_losses
            chosen = plan(variant, losses, inputs=facts.input_tensors)
            return self._import(chosen, replica, variant, _inputs(variant, signature))

        return self._once(("fed losses", variant.tags, signature), build)

    def plan_function(
        self, variant: Variant, chosen: Plan, inputs: Mapping[str, tf.TensorSpec]
    ) -> Function:
        """The function of a plan of the caller's own, who keeps it.

        Args:
            variant: which graph.
            chosen: the plan.
            inputs: tensors that it has as inputs, in the order of the arguments.
        """
        need_threads(variant.subject)
        with self._kept.lock, tf.init_scope():
            return self._import(chosen, None, variant, list(inputs.items()))

    def _once(self, use: tuple[Any, ...], build: Callable[[int | None], Function]) -> Function:
        # The function that a replica calls is bound to its copies of the variables.
        replica = private.local_replica() if self._is_distributed else None
        key = (*use, replica)
        function = self._kept.functions.get(key)
        if function is None:
            with self._kept.lock, tf.init_scope():
                function = self._kept.functions.get(key) or build(replica)
                self._kept.functions[key] = function
        return function

    @functools.cached_property
    def _is_distributed(self) -> bool:
        return any(replicas.is_distributed(self._raw(node)) for node in self._kept.variables)

    def _mentioning(self, run: Function, chosen: Plan, replica: int | None) -> Function:
        """The same function, whose variables an export finds though no tape sees them."""
        variables = [
            replicas.copy_for(self._variable(node, chosen), replica) for node in chosen.variables
        ]

        def run_and_mention(*inputs: tf.Tensor) -> list[tf.Tensor]:
            private.mention_variables(variables)
            return run(*inputs)

        return run_and_mention

    def _averaging(self, run: Function, chosen: Plan) -> Function:
        """The same function, after which the replicas average what its updates wrote."""
        written = map(self._raw, replicas.written(chosen))
        averaged = [variable for variable in written if replicas.is_averaged(variable)]
        if not chosen.updates or not averaged:
            return run

        def run_and_average(*inputs: tf.Tensor) -> list[tf.Tensor]:
            outputs = run(*inputs)
            replicas.average(averaged)
            return outputs

        return run_and_average

    def _import(
        self,
        chosen: Plan,
        replica: int | None,
        variant: Variant,
        inputs: Sequence[tuple[str, tf.TensorSpec]] = (),
        watch: bool = True,
    ) -> Function:
        handles = self._handles(variant, chosen)
        tensors, specs = [tensor for tensor, _ in inputs], [spec for _, spec in inputs]
        for name in chosen.assets:
            self._keep(self._file(name, chosen.subject))

        def build(seeded: Plan) -> Function:
            body = self._body(seeded, handles, tensors, watch, replica)
            with refusing(chosen.subject):
                run = private.wrap_function(body, specs)
                return run if chosen.differentiable else _without_gradient(run, specs)

        return following_global_seed(chosen, build)

    def outside(self, variant: Variant, chosen: Plan) -> dict[str, tf.Tensor]:
        """What a plan's placeholders stand for, captured in the function being built."""
        with self._kept.lock, tf.init_scope():
            handles = self._handles(variant, chosen)
        return self._captured(chosen, handles, watch=True)

    def _handles(self, variant: Variant, chosen: Plan) -> dict[str, tf.Tensor]:
        return {
            placeholder: self._table(variant, node).resource_handle
            for node, placeholder in chosen.resources.items()
        }

    def _captured(
        self,
        chosen: Plan,
        handles: Mapping[str, tf.Tensor],
        watch: bool,
        replica: int | None = None,
    ) -> dict[str, tf.Tensor]:
        paths = {
            placeholder: self._file(name, chosen.subject).asset.asset_path
            for name, placeholders in chosen.assets.items()
            for placeholder in placeholders
        }
        found = {p: private.capture(value) for p, value in {**handles, **paths}.items()}
        for node, placeholder in chosen.variables.items():
            variable = replicas.copy_for(self._variable(node, chosen), replica)
            found[placeholder] = private.capture_variable(variable, watch)
        return found

    def _body(
        self,
        chosen: Plan,
        handles: Mapping[str, tf.Tensor],
        inputs: Sequence[str],
        watch: bool,
        replica: int | None = None,
    ) -> Function:
        """A Python function that adds a plan to the current graph."""

        def body(*arguments: tf.Tensor) -> list[tf.Tensor]:
            given = dict(zip(inputs, arguments, strict=True))
            input_map = self._captured(chosen, handles, watch, replica)
            input_map |= {p: given[tensor] for tensor, p in chosen.inputs.items()}
            return import_plan(chosen, input_map, self._trust)

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
        return self._raw(node)

    def _raw(self, node: str) -> tf.Variable:
        held = self._kept.variables[node]
        # Asked for late: Keras may make a variable before it has a value.
        return held if isinstance(held, tf.Variable) else private.raw_variable(held)

    def _file(self, name: str, subject: Subject) -> ModuleFile:
        if name not in self._kept.files:
            self._kept.files[name] = ModuleFile(self._kept.asset_paths[name], subject)
        return self._kept.files[name]

    def _keep(self, file: ModuleFile) -> None:
        if id(file) not in self._kept.read_files:  # which keeps them all
            self._kept.read_files.add(id(file))
            self.files.append(ReadFile(file))

    def _table(self, variant: Variant, node: str) -> Table:
        """The table behind a node; variants with the same table share it."""
        filling = plan_initialization(variant, node)
        key = _table_identity(variant.nodes[node], filling)
        if key not in self._kept.tables:
            with refusing(
                variant.subject,
                f"Cannot make and fill table {node!r} of a TF1 Hub module.",
                "a table, and entries for it, that this TensorFlow accepts",
            ):
                table = self._filled_table(variant, node, filling)
            if self._kept.holds_vocabularies:
                table.hold_entries()
            self._kept.tables[key] = table
            self.tables.append(table)
        return self._kept.tables[key]

    def _filled_table(self, variant: Variant, node: str, filling: Plan | None) -> Table:
        maker = variant.nodes[node]
        audit.require_safe_makers([maker], variant.subject, self._trust)
        table = Table(maker)
        if filling is not None:
            # The makers of other tables that it fills or reads are looked at here.
            audit.require_safe([filling], variant.subject, self._trust)
            handles = {
                # An initializer may fill several tables at once.
                placeholder: table.resource_handle
                if other == node
                else self._table(variant, other).resource_handle
                for other, placeholder in filling.resources.items()
            }
            files = [self._file(name, filling.subject) for name in sorted(filling.assets)]
            table.fill_from(self._body(filling, handles, [], watch=False), files)
        return table


class _Kept:
    """What a Runtime holds that TensorFlow is not to track."""

    def __init__(self, variables: Mapping[str, Variable], asset_paths: dict[str, str]) -> None:
        self.variables = variables
        self.asset_paths = asset_paths
        self.files: dict[str, ModuleFile] = {}
        self.read_files: set[int] = set()
        self.tables: dict[str, Table] = {}
        self.holds_vocabularies = False
        self.functions: dict[tuple[Any, ...], Function] = {}
        self.lock = threading.RLock()


def import_graph(
    chosen: Plan, input_map: Mapping[str, tf.Tensor], trust: Trust, scope: str = _SCOPE
) -> tuple[list[tf.Tensor], list[tf.Operation]]:
    """Imports a plan into the current graph.

    Args:
        chosen: the plan.
        input_map: placeholder -> tensor of the current graph; an output may be
            one of them.
        trust: what may reach outside the module.
        scope: absolute name scope to import into, with its slash.

    Returns:
        The tensors that the plan fetches and the ops that are its updates.

    Raises:
        FormatError: TensorFlow does not accept the graph.
        UnsafeModuleError: something else may reach outside.
    """
    audit.require_safe([chosen], chosen.subject, trust)
    with refusing(chosen.subject):
        return _import_graph(chosen, input_map, trust, scope)


def _import_graph(
    chosen: Plan, input_map: Mapping[str, tf.Tensor], trust: Trust, scope: str
) -> tuple[list[tf.Tensor], list[tf.Operation]]:
    current = tf.compat.v1.get_default_graph()
    if chosen.graph_def.node:
        is_trusted = trust.everything or chosen.made_here
        tf.graph_util.import_graph_def(
            chosen.graph_def if is_trusted else library.with_own_gradients(chosen.graph_def),
            name=scope,
            input_map=dict(input_map),
            producer_op_list=chosen.producer_ops,
        )
    fetched = [
        input_map[tensor] if tensor in input_map else current.get_tensor_by_name(scope + tensor)
        for tensor in chosen.fetches
    ]
    for tensor, shape in zip(fetched, chosen.shapes, strict=False):
        # The graph may not tell what the publisher knew; never trust a clash.
        if tensor.shape.is_compatible_with(shape):
            tensor.set_shape(shape)
    return fetched, [current.get_operation_by_name(f"{scope}{op}") for op in chosen.updates]


def import_plan(chosen: Plan, input_map: Mapping[str, tf.Tensor], trust: Trust) -> list[tf.Tensor]:
    """As :func:`import_graph`, with outputs that wait for the updates."""
    fetched, updates = import_graph(chosen, input_map, trust)
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
    return private.wrap_function(blocked, specs)


def _inputs(variant: Variant, signature: str) -> list[tuple[str, tf.TensorSpec]]:
    facts = variant.signature(signature)
    return list(zip(facts.input_tensors, facts.input_specs, strict=True))


def _no_losses(*_: tf.Tensor) -> list[tf.Tensor]:
    return []


def _table_identity(node: node_def_pb2.NodeDef, filling: Plan | None) -> str:
    parts = [node.SerializeToString(deterministic=True)]
    if filling is not None:
        parts.append(filling.graph_def.SerializeToString(deterministic=True))
        parts.append(repr(sorted(filling.assets.items())).encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
