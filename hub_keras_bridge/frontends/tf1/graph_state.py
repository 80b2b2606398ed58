"""A module in a session's graph: its state, and the applications that share it."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Collection, Mapping

import tensorflow as tf

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.compat import tf_errors
from hub_keras_bridge.errors import FormatError, GraphModeError, InputError
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.facts.checkpoint import Checkpoint
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.variables import VariableFacts, by_name
from hub_keras_bridge.facts.variant import Variant
from hub_keras_bridge.frontends.tf1.scopes import require_free_names, scope_for
from hub_keras_bridge.graphs import colocation, contexts, graph, library, published
from hub_keras_bridge.graphs.refusing import refusing
from hub_keras_bridge.plans import safe_mode
from hub_keras_bridge.plans.calls import call_of, losses_fed_by, standing_losses
from hub_keras_bridge.plans.endpoint import Endpoint
from hub_keras_bridge.plans.plan import Plan
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running.function_call import add_call


class GraphState:
    """A variant's whole graph in the current one, and again for each application.

    Args:
        spec: the module.
        variant: which graph.
        scope: absolute name scope for the state, with its slash; unused.
        trainable: whether variables, losses and update ops join the collections
            that training reads.
        trust: what may reach outside the module. Of the rest that may, what
            nothing needs is left out of the graph.

    Raises:
        UnknownOpError: TensorFlow lacks an op of the graph.
        CheckpointError: a variable has no value.
        FormatError: TensorFlow does not accept the graph.
        UnsafeModuleError: what gives the state its values may reach outside.
    """

    def __init__(
        self, spec: ModuleSpec, variant: Variant, scope: str, trainable: bool, trust: Trust
    ) -> None:
        self.scope = scope
        self._spec = spec
        self._variant = variant
        self._trainable = trainable
        self._graph = tf.compat.v1.get_default_graph()
        self._trust = trust
        safe_mode.require_safe_start(spec, variant, trust)
        without = safe_mode.reaching_nodes(variant, trust)
        self._published = variant.with_files(spec.files.assets, without)
        require_free_names(self._graph, scope, variant)
        with refusing(variant.subject):
            self._has_nested_loops = contexts.has_nested_loops(variant.published)
            self._import(published.state(self._published, scope, trainable=trainable), {}, scope)
            self._tensors = {
                f"{node}:0": self._graph.get_tensor_by_name(f"{scope}{node}:0")
                for node in sorted(published.state_nodes(self._published.graph_def))
            }
        self.variables = self._made_variables()
        self._by_name = by_name(self.variables)
        self._restore()
        # Made now: when the module is exported, the graph may be final.
        self._saver = (
            tf.compat.v1.train.Saver(self._by_name, sharded=True) if self._by_name else None
        )

    def saver(self, session: tf.compat.v1.Session) -> Callable[[str], None] | None:
        """What writes a checkpoint of the values in a session at a prefix; None without variables.

        Raises:
            GraphModeError: the session is of another graph.
        """
        if session.graph is not self._graph:
            raise GraphModeError(
                "Cannot export a hub.Module: the session is of another graph.",
                self._variant.subject,
                expected="a session of the graph that the module was made in",
                found="one of another graph",
                advice="pass the session that runs the module",
            )
        return functools.partial(self._save, session) if self._saver else None

    def _save(self, session: tf.compat.v1.Session, prefix: str) -> None:
        assert self._saver is not None
        try:
            with self._graph.as_default():
                self._saver.save(session, prefix, write_meta_graph=False, write_state=False)
        except tf.errors.FailedPreconditionError as error:
            raise tf_errors.UninitializedError(
                "Cannot export a hub.Module: the session has no values of its variables.",
                self._variant.subject,
                expected="variables that were initialized or restored in this session",
                found=error.message,
                advice="run tf.compat.v1.global_variables_initializer() in the session first",
            ) from error

    def apply(
        self, endpoint: Endpoint, given: Mapping[str, tf.Tensor], name: str
    ) -> list[tf.Tensor]:
        """Adds an application to the current graph.

        Args:
            endpoint: which outputs of which signature.
            given: tensor of the signature -> tensor of the current graph.
            name: of the name scope, in the current one; numbered if it is taken.

        Returns:
            The outputs, flat.

        Raises:
            UnsafeModuleError: what they need may reach outside.
            FormatError: what is given would take the place of a part of a loop.
        """
        self._require_own_graph()
        if self._needs_functions():
            return self._apply_in_function(endpoint, given, name)
        self._require_safe(endpoint)
        self._require_whole_loops(endpoint, given)
        fetches, _ = self._variant.published_signature(endpoint.signature).fetches(endpoint.outputs)
        fed = {**self._tensors, **given}
        # What stands outside of a loop or a branch has to enter it.
        fed = {tensor: private_tf.enter_v1_context(fed[tensor]) for tensor in sorted(fed)}
        scope = scope_for(name)
        with refusing(endpoint.subject):
            part = published.application(self._published, scope, trainable=self._trainable)
            self._import(part, fed, scope)
            return [
                fed[t] if t in fed else self._graph.get_tensor_by_name(scope + t)
                for t in map(graph.tensor_name, fetches)
            ]

    def _require_safe(self, endpoint: Endpoint) -> None:
        variant, outputs = self._variant, endpoint.outputs
        call = call_of(variant, endpoint.signature, outputs, training=self._trainable)
        targets = [*call.fetches, *call.updates]
        if self._trainable:
            targets += [*standing_losses(variant), *losses_fed_by(variant, endpoint.facts)]
        safe_mode.require_safe_in_session(
            variant, targets, endpoint.subject, self._trust, call.inputs
        )

    def _require_whole_loops(self, endpoint: Endpoint, given: Collection[str]) -> None:
        """Checks that no input is what one turn of a loop hands to the next.

        TensorFlow's importer ends the process over a loop without that.
        """
        nodes = self._variant.inner_tensors.nodes
        for tensor in given:
            node = nodes.get(graph.node_name(tensor))
            if node is not None and node.op in ("NextIteration", "RefNextIteration"):
                raise FormatError(
                    f"Cannot apply a {endpoint.subject.kind}: an input of its signature is a part "
                    "of a loop.",
                    endpoint.subject,
                    expected="inputs that are given from outside, as a Placeholder's are",
                    found=f"{tensor!r}, the output of a node of type {node.op}",
                    advice="choose another signature, or fetch the module again",
                )

    def _require_own_graph(self) -> None:
        with tf.init_scope():
            current = tf.compat.v1.get_default_graph()
        if current is not self._graph:
            raise GraphModeError(
                "Cannot apply a hub.Module: it was made in another graph.",
                self._variant.subject,
                expected="a call while the module's own graph is the default graph",
                found="another default graph",
                advice="make the module in each graph that applies it",
            )

    def _needs_functions(self) -> bool:
        """Whether the published graph cannot become a part of the current one.

        A branch or body of If and While is a function, which may run all of its
        ops. Loops in loops cannot be imported into a v1 loop: TensorFlow takes
        the inner ones' constants into the wrong one.
        """
        if tf.compat.v1.get_default_graph() is not self._graph:
            return True
        return private_tf.inside_v1_loop() and self._has_nested_loops

    def _import(self, part: published.MetaGraph, fed: Mapping[str, tf.Tensor], scope: str) -> None:
        inside = {node.name for node in part.graph_def.node} - set(map(graph.node_name, fed))
        beside = colocation.take_out(part.graph_def, inside)
        # Each import's functions are its own: two of one name may come to differ
        # when they are differentiated, and those of other modules differ.
        library.rename_functions(
            part.graph_def, uuid.uuid4().hex, kept=library.called_as_ops(part.graph_def)
        )
        tf.compat.v1.train.import_meta_graph(
            part, input_map=dict(fed), import_scope=scope.rstrip("/").rpartition("/")[2]
        )
        for node, others in beside.items():
            op = self._graph.get_operation_by_name(scope + node)
            private_tf.colocate(op, [self._place_of(other, fed, scope) for other in others])

    def _place_of(self, node: str, fed: Mapping[str, tf.Tensor], scope: str) -> tf.Operation:
        """Beside which op those belong that were published beside a node that is fed."""
        outputs = self._graph.get_operation_by_name(scope + node).outputs
        names = [f"{node}:{number}" for number in range(len(outputs))]
        ops = [fed[name].op for name in names if name in fed]
        if len(ops) < len(names) or len({tuple(op.colocation_groups()) for op in ops}) > 1:
            raise InputError(
                "Cannot apply a hub.Module: it is not clear beside what some of its ops belong.",
                self._variant.subject,
                expected=f"tensors of one place for the outputs of {node!r}, which they stand by",
                found=f"{choices(op.name for op in ops)} for {len(names)} outputs",
                advice="pass outputs of one op; or publish the module with a placeholder for each "
                "input",
            )
        return ops[0]

    def _made_variables(self) -> list[tuple[VariableFacts, tf.Variable]]:
        made = {v.op.name: v for v in tf.compat.v1.global_variables()}
        pairs = [(facts, made.get(self.scope + facts.node)) for facts in self._variant.variables]
        return [(facts, variable) for facts, variable in pairs if variable is not None]

    def _restore(self) -> None:
        """Makes the variables' initializers restore the published values."""
        prefix = self._spec.files.checkpoint
        if prefix is None or not self.variables:
            return
        files = self._spec.files
        checkpoint = Checkpoint(prefix, self._spec.subject, files.name_in_checkpoint)
        saved = [(f, v) for f, v in self.variables if not files.starts_anew(f.name)]
        for facts, _ in saved:
            checkpoint.check(facts)
        tf.compat.v1.train.init_from_checkpoint(
            checkpoint.prefix_for(self._graph),
            {files.name_in_checkpoint(name): v for name, v in by_name(saved).items()},
        )

    def _apply_in_function(
        self, endpoint: Endpoint, given: Mapping[str, tf.Tensor], name: str
    ) -> list[tf.Tensor]:
        if references := [t for t, here in self._tensors.items() if _is_reference(here)]:
            raise GraphModeError(
                "Cannot apply a hub.Module inside a function: its state is held by reference.",
                endpoint.subject,
                expected="resource variables and tables, which functions can capture",
                found=f"{references[0].removesuffix(':0')!r}, a reference",
                advice="apply it outside of tf.cond, tf.while_loop and Dataset.map; or call "
                "tf.compat.v1.disable_control_flow_v2() first; or use hub.ModuleLayer",
            )
        return add_call(endpoint, given, name, self._outside, self._trust, training=self._trainable)

    def _outside(self, chosen: Plan) -> dict[str, tf.Tensor]:
        """Placeholder of a plan -> the tensor of this graph that it stands for."""
        nodes = {**chosen.variables, **chosen.resources}
        tensors = {file: tensor for tensor, file in self._variant.assets.items()}
        paths = {
            placeholder: self._graph.get_tensor_by_name(self.scope + tensors[file])
            for file, placeholders in chosen.assets.items()
            for placeholder in placeholders
        }
        return {p: self._tensors[f"{node}:0"] for node, p in nodes.items()} | paths


def _is_reference(tensor: tf.Tensor) -> bool:
    return bool(tensor.dtype != tensor.dtype.base_dtype)
