"""Runs plans: the functions, tables and asset paths of one loaded module.

Each plan is imported into one ``tf.compat.v1.wrap_function``. Variables belong
to the caller and are captured, so that all variants and signatures share them.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias, TypeVar, cast

import keras
import tensorflow as tf

from hub_keras_bridge.compat import keras as private_keras
from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.compat.optimizer import OptimizedOnce
from hub_keras_bridge.errors import FormatError
from hub_keras_bridge.graphs.refusing import refusing
from hub_keras_bridge.plans.endpoint import Endpoint
from hub_keras_bridge.plans.of_values import of_values
from hub_keras_bridge.plans.plan import Plan
from hub_keras_bridge.plans.program import Program
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running import devices, replicas
from hub_keras_bridge.running.function_of_values import FunctionOfValues, arguments
from hub_keras_bridge.running.importing import import_plan
from hub_keras_bridge.running.lookup_tables import Function, ReadFile, Table
from hub_keras_bridge.running.place import need_threads
from hub_keras_bridge.running.seeds import following_global_seed
from hub_keras_bridge.running.tables import Tables

Variable: TypeAlias = keras.Variable | tf.Variable

_Made = TypeVar("_Made")  # What is made once: a function, of one kind or another.

_NO_GRADIENT = (
    "This TF1 Hub module runs, but its gradient cannot be trusted: it has control flow that could "
    "not be turned into functions, or functions with gradients of their own. Use the layer with "
    "trainable=False, on inputs that need no gradient."
)


class Runtime(tf.Module):
    """The running side of a module: it is given plans, and makes none.

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
        devices.leave_gpus()
        super().__init__(name="hub_module")
        # Tracked, so that tf.saved_model.save finds what functions capture.
        self.tables: list[Table] = []
        self.files: list[ReadFile] = []
        filling = functools.partial(self._body, inputs=[], watch=False)
        tables = Tables(assets, trust, filling, made=self.tables, read=self.files)
        # Not tracked: dicts with keys that are no strings break an export.
        self._kept = _Kept(variables, tables)
        self._trust = trust

    def hold_vocabularies(self) -> None:
        """Lets what is saved from now on fill its tables with constants, not from files."""
        with self._kept.lock:
            self._kept.tables.hold_vocabularies()

    @contextlib.contextmanager
    def filling_tables(self, endpoint: Endpoint) -> Iterator[None]:
        """Fills the tables of a kind of call beside what is done meanwhile.

        A large vocabulary takes about as long as large weights do to be read. What
        fails here is tried again by the call, which says why.
        """
        program = endpoint.program
        needed = program.tables_read(endpoint.signature, endpoint.outputs)
        if not needed:
            yield
            return

        def fill() -> None:
            need_threads(program.variant.subject)
            with self._kept.lock:
                for node in needed:
                    self._kept.tables.table(program, node)

        with ThreadPoolExecutor(1) as beside:
            beside.submit(fill)
            yield

    def call_function(self, endpoint: Endpoint, *, training: bool, watch: bool = True) -> Function:
        """The function of one kind of call.

        Args:
            endpoint: which outputs of which signature.
            training: whether update ops run too.
            watch: whether a gradient tape sees the variables; a frozen layer
                needs none of what a tape would keep.

        Returns:
            A function from the signature's flat inputs to its flat outputs.
        """
        program = endpoint.program
        need_threads(endpoint.subject)

        def build(replica: int | None) -> Function:
            chosen = endpoint.call(training=training)
            run = self._import(program, chosen, replica, _inputs(endpoint), watch)
            run = OptimizedOnce(run if watch else self._mentioning(run, chosen, replica))
            return run if replica is None else self._averaging(run, chosen)

        use = ("call", program, endpoint.signature, endpoint.outputs, training, watch)
        return self._once(use, build)

    def standing_losses(self, program: Program) -> list[tf.Tensor]:
        """The regularization losses that need no input, of current weights."""
        need_threads(program.variant.subject)

        def build(replica: int | None) -> Function:
            chosen = program.standing_losses
            return self._import(program, chosen, replica) if chosen else _no_losses

        return self._once(("standing losses", program), build)()

    def losses_function(self, endpoint: Endpoint) -> Function:
        """From a signature's flat inputs to the losses that depend on them."""
        need_threads(endpoint.subject)

        def build(replica: int | None) -> Function:
            chosen = endpoint.fed_losses
            if chosen is None:
                return _no_losses
            return self._import(endpoint.program, chosen, replica, _inputs(endpoint))

        return self._once(("fed losses", endpoint.program, endpoint.signature), build)

    def plan_function(
        self, program: Program, chosen: Plan, inputs: Mapping[str, tf.TensorSpec]
    ) -> Function:
        """The function of a plan of the caller's own, who keeps it.

        Args:
            program: of the plan's variant.
            chosen: the plan.
            inputs: tensors that it has as inputs, in the order of the arguments.
        """
        need_threads(chosen.subject)
        with self._kept.lock, tf.init_scope():
            return self._import(program, chosen, None, list(inputs.items()))

    def function_of_values(
        self, program: Program, chosen: Plan, *, seeded: bool = False
    ) -> FunctionOfValues:
        """The function of a plan, on values of the variables in place of what they hold.

        Args:
            program: of the plan's variant.
            chosen: the plan.
            seeded: whether random numbers follow a seed; see :func:`of_values`.

        Raises:
            BackendError: the plan needs variables, not values alone.
        """
        need_threads(chosen.subject)

        def build(_: int | None) -> FunctionOfValues:
            for node in chosen.variables:
                self._variable(node, chosen)
            on_values = of_values(chosen, program.variant, seeded=seeded)
            given = arguments(on_values, program.variant)
            run = self._import(program, on_values, None, given)
            return FunctionOfValues(on_values, given, run)

        return self._once(("values", program, chosen, seeded), build)

    def _once(self, use: tuple[Any, ...], build: Callable[[int | None], _Made]) -> _Made:
        # The function that a replica calls is bound to its copies of the variables.
        replica = private_tf.local_replica() if self._is_distributed else None
        key = (*use, replica)
        function = self._kept.functions.get(key)
        if function is None:
            with self._kept.lock, tf.init_scope():
                function = self._kept.functions.get(key) or build(replica)
                self._kept.functions[key] = function
        return cast(_Made, function)

    @functools.cached_property
    def _is_distributed(self) -> bool:
        return any(replicas.is_distributed(self._raw(node)) for node in self._kept.variables)

    def _mentioning(self, run: Function, chosen: Plan, replica: int | None) -> Function:
        """The same function, whose variables an export finds though no tape sees them."""
        variables = [
            replicas.copy_for(self._variable(node, chosen), replica) for node in chosen.variables
        ]

        def run_and_mention(*inputs: tf.Tensor) -> list[tf.Tensor]:
            private_tf.mention_variables(variables)
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
        program: Program,
        chosen: Plan,
        replica: int | None,
        inputs: Sequence[tuple[str, tf.TensorSpec]] = (),
        watch: bool = True,
    ) -> Function:
        handles = self._kept.tables.handles(program, chosen)
        tensors, specs = [tensor for tensor, _ in inputs], [spec for _, spec in inputs]
        for name in chosen.assets:
            self._kept.tables.keep(name, chosen.subject)

        def build(seeded: Plan) -> Function:
            body = self._body(seeded, handles, tensors, watch, replica)
            with refusing(chosen.subject):
                run = private_tf.wrap_function(body, specs)
                return run if chosen.differentiable else _without_gradient(run, specs)

        return following_global_seed(chosen, build)

    def outside(self, program: Program, chosen: Plan) -> dict[str, tf.Tensor]:
        """What a plan's placeholders stand for, captured in the function being built."""
        with self._kept.lock, tf.init_scope():
            handles = self._kept.tables.handles(program, chosen)
        return self._captured(chosen, handles, watch=True)

    def _captured(
        self,
        chosen: Plan,
        handles: Mapping[str, tf.Tensor],
        watch: bool,
        replica: int | None = None,
    ) -> dict[str, tf.Tensor]:
        paths = {
            placeholder: self._kept.tables.file(name, chosen.subject).asset.asset_path
            for name, placeholders in chosen.assets.items()
            for placeholder in placeholders
        }
        found = {p: private_tf.capture(value) for p, value in {**handles, **paths}.items()}
        for node, placeholder in chosen.variables.items():
            variable = replicas.copy_for(self._variable(node, chosen), replica)
            found[placeholder] = private_tf.capture_variable(variable, watch)
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
            input_map |= {p: given[node] for node, p in chosen.values.items()}
            return import_plan(chosen, input_map, self._trust)

        return body

    def _variable(self, node: str, chosen: Plan) -> tf.Variable:
        if node not in self._kept.variables:
            raise FormatError(
                f"Cannot run a {chosen.subject.kind}: variable {node!r} has no value.",
                chosen.subject,
                expected="the variable in the module's checkpoint",
                found="none; it was published from a variant without it",
                advice="use tags=... or training_tags=... of a variant whose variables were saved",
            )
        return self._raw(node)

    def _raw(self, node: str) -> tf.Variable:
        held = self._kept.variables[node]
        # Asked for late: Keras may make a variable before it has a value.
        return held if isinstance(held, tf.Variable) else private_keras.raw_variable(held)


class _Kept:
    """What a Runtime holds that TensorFlow is not to track."""

    def __init__(self, variables: Mapping[str, Variable], tables: Tables) -> None:
        self.variables = variables
        self.tables = tables
        self.functions: dict[tuple[Any, ...], Any] = {}
        self.lock = threading.RLock()


def _without_gradient(run: Function, specs: list[tf.TensorSpec]) -> Function:
    """The same function, whose gradient is an error that says why."""

    def blocked(*inputs: tf.Tensor) -> list[tf.Tensor]:
        return [
            tf.raw_ops.PreventGradient(input=tensor, message=_NO_GRADIENT)
            for tensor in run(*inputs)
        ]

    # Around the function, so that TensorFlow meets the error first.
    return private_tf.wrap_function(blocked, specs)


def _inputs(endpoint: Endpoint) -> list[tuple[str, tf.TensorSpec]]:
    facts = endpoint.facts
    return list(zip(facts.input_tensors, facts.input_specs, strict=True))


def _no_losses(*_: tf.Tensor) -> list[tf.Tensor]:
    return []
