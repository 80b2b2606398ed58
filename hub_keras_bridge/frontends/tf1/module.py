"""Module: a TF1 Hub module in a TensorFlow 1 graph."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from typing import Any

import tensorflow as tf

from hub_keras_bridge.errors import GraphModeError
from hub_keras_bridge.facts.reading import load_module_spec
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.facts.variables import by_name
from hub_keras_bridge.files import module_writing
from hub_keras_bridge.frontends.tf1.graph_state import GraphState
from hub_keras_bridge.frontends.tf1.lifted_state import LiftedState
from hub_keras_bridge.frontends.tf1.scopes import check_name, unused_scope
from hub_keras_bridge.plans.endpoint import Endpoint
from hub_keras_bridge.plans.program import Program
from hub_keras_bridge.plans.trust import Trust


class Module:
    """Part of a TF1 graph: state when it is made, outputs whenever it is applied.

    Variables, tables and losses are made once, under an unused variable scope;
    every application shares them. The variables' initializers restore the
    published values.

    All nodes of the published graph are there, under their published names: of
    the state in ``<name>/``, of an application in ``<name>_apply_<signature>/``
    of the name scope around it, for example
    ``module_apply_tokens/bert/encoder/layer_3/output/LayerNorm/batchnorm/add_1:0``.

    In a function of TensorFlow 2 (``tf.compat.v1.wrap_function``,
    ``tf.function``), the variables lie outside of it and have their values at
    once, and there are those nodes alone that the call needs.

    Example:

    >>> import tensorflow as tf, hub_keras_bridge as hub
    >>> def double():
    ...     x = tf.compat.v1.placeholder(tf.float32, [None])
    ...     factor = tf.compat.v1.get_variable("factor", initializer=2.0)
    ...     hub.add_signature(inputs=x, outputs=x * factor)
    >>> spec = hub.create_module_spec(double)
    >>> with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    ...     module = hub.Module(spec)
    ...     y = module([1.0, 2.0])
    ...     session.run(tf.compat.v1.global_variables_initializer())
    ...     session.run(y).tolist()
    [2.0, 4.0]

    Args:
        spec: a ModuleSpec, or what :func:`load_module_spec` takes.
        trainable: whether its trainable variables and regularization losses
            join TRAINABLE_VARIABLES and REGULARIZATION_LOSSES, and its update
            ops, per application, UPDATE_OPS.
        name: the scope's name; numbered if variables use it.
        tags: which variant; the empty set if None.
        safe_mode: whether to refuse a module that reaches outside its own graph.
            What nothing needs of what may is left out then; placeholders of the
            published names stand for it. As with the original library, nothing is
            looked at unless this is asked for.
        trusted_ops: names of ops that it may reach outside with even so, as an
            audit tells them.

    Raises:
        GraphModeError: TensorFlow executes eagerly here; or the name scope is in
            use where the variable scope is not, as with ``reuse=True``; or this is
            made, to be trained, in each trace of a ``tf.function``.
        InputError: the name cannot be a scope's.
        TagsError: no such variant.
        UnknownOpError: TensorFlow lacks an op of the graph.
        UnsafeModuleError: safe mode refuses an op.
    """

    def __init__(
        self,
        spec: ModuleSpec | str | os.PathLike[str],
        trainable: bool = False,
        name: str = "module",
        tags: Collection[str] | None = None,
        *,
        safe_mode: bool = False,
        trusted_ops: Collection[str] = (),
    ) -> None:
        check_name(name)
        trust = Trust.of(safe_mode, trusted_ops)
        self._spec = load_module_spec(spec)
        self._trainable = bool(trainable)
        self._variant = self._spec.variant(tags)
        self._program = Program(self._variant)
        self._tags = set(self._variant.tags)
        # State lies outside whatever loop, branch or function the module is made in.
        with tf.init_scope():
            lifted = tf.executing_eagerly()
            self._graph = tf.compat.v1.get_default_graph()
        if lifted and not tf.inside_function():
            raise GraphModeError(
                "Cannot make a hub.Module: TensorFlow executes eagerly here.",
                self._variant.subject,
                expected="a TF1 graph that is being built",
                found="eager execution",
                advice="make it inside `with tf.Graph().as_default():`; begin a TF1 script with "
                "tf.compat.v1.disable_v2_behavior(); or use hub.ModuleLayer",
            )
        scope = unused_scope(name)
        self._name = scope.split("/")[-2]
        self._state: GraphState | LiftedState
        if lifted:
            self._state = LiftedState(self._spec, self._program, scope, self._trainable, trust)
        else:
            with tf.init_scope(), tf.name_scope(scope.removesuffix(f"{self._name}/")):
                self._state = GraphState(self._spec, self._variant, scope, self._trainable, trust)

    def __repr__(self) -> str:
        return f"<hub_keras_bridge.Module {self._state.scope!r} of {self._spec!r}>"

    # Loops and maps would convert this code with theirs, in vain.
    @tf.autograph.experimental.do_not_convert
    def __call__(
        self, inputs: Any = None, signature: str | None = None, as_dict: bool | None = None
    ) -> Any:
        """Applies a signature; it may be called any number of times.

        Args:
            inputs: a value where the signature has one input, else a dict by
                input name.
            signature: name of the signature; ``"default"`` if None.
            as_dict: whether to return all outputs by name.

        Returns:
            The output ``"default"``, or a dict of all.

        All are graph tensors, of the signature's dtypes and shapes.

        Raises:
            SignatureError: no such signature, or no output ``"default"``.
            InputError: the inputs do not fit.
            GraphModeError: another graph is being built than the module is in, or
                an input is a tensor of another graph.
        """
        endpoint = Endpoint(self._program, signature, None, bool(as_dict))
        _require_tensors_of(tf.compat.v1.get_default_graph(), endpoint.by_name(inputs), endpoint)
        flat = endpoint.bind(inputs, converts=False)
        given = dict(zip(endpoint.facts.input_tensors, flat, strict=True))
        name = re.sub(r"[^A-Za-z0-9_.>-]", "_", f"{self._name}_apply_{endpoint.signature}")
        return endpoint.pack(self._state.apply(endpoint, given, name))

    @property
    def _impl(self) -> Module:
        """What old code reaches through for ``variable_map`` and ``export``."""
        return self

    @property
    def spec(self) -> ModuleSpec:
        """What the module is."""
        return self._spec

    @property
    def variables(self) -> list[tf.Variable]:
        """All variables in the order of ``variable_map``'s sorted names; slices one by one."""
        return list(tf.nest.flatten([each for _, each in sorted(self.variable_map.items())]))

    @property
    def variable_map(self) -> dict[str, tf.Variable | list[tf.Variable]]:
        """TF1 name -> variable, or the list of a partitioned one's slices."""
        return by_name(self._state.variables)

    def export(self, path: str | os.PathLike[str], session: tf.compat.v1.Session) -> None:
        """Writes the module with the variables' values in a session.

        Args:
            path: the directory to make; it may exist, without any file of a module.
            session: of the module's graph.

        Raises:
            ExportError: the target is taken or cannot be written.
            GraphModeError: the session is of another graph.

        Example:

        >>> import tempfile, tensorflow as tf, hub_keras_bridge as hub
        >>> def double():
        ...     x = tf.compat.v1.placeholder(tf.float32, [None])
        ...     factor = tf.compat.v1.get_variable("factor", initializer=2.0)
        ...     hub.add_signature(inputs=x, outputs=x * factor)
        >>> path = tempfile.mkdtemp()
        >>> with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        ...     module = hub.Module(hub.create_module_spec(double))
        ...     session.run(tf.compat.v1.global_variables_initializer())
        ...     _ = session.run(module.variable_map["factor"].assign(5.0))
        ...     module.export(path, session)
        >>> hub.ModuleLayer(path)([1.0]).numpy().tolist()
        [5.0]
        """
        module_writing.write_module(os.fspath(path), self._spec.files, self._state.saver(session))

    def get_signature_names(self) -> list[str]:
        """Names of the signatures of the module's variant."""
        return self._variant.signature_names

    def get_input_info_dict(self, signature: str | None = None) -> dict[str, ParsedTensorInfo]:
        """As :meth:`ModuleSpec.get_input_info_dict`, for the module's variant."""
        return dict(self._variant.signature(signature).inputs)

    def get_output_info_dict(self, signature: str | None = None) -> dict[str, ParsedTensorInfo]:
        """As :meth:`ModuleSpec.get_output_info_dict`, for the module's variant."""
        return dict(self._variant.signature(signature).outputs)

    def get_attached_message(self, key: str, message_type: type, required: bool = False) -> Any:
        """As :meth:`ModuleSpec.get_attached_message`, for the module's variant."""
        return self._spec.get_attached_message(key, message_type, self._variant.tags, required)


def _require_tensors_of(current: tf.Graph, inputs: Mapping[str, Any], endpoint: Endpoint) -> None:
    """Checks that inputs that are tensors already are those of a graph, or of one around it."""
    around = [current]
    while outer := getattr(around[-1], "outer_graph", None):
        around.append(outer)
    for value in tf.nest.flatten(list(inputs.values()), expand_composites=True):
        # An eager tensor has no graph; a function captures it, a graph cannot.
        of = getattr(value, "graph", None) if isinstance(value, tf.Tensor) else current
        if of not in around and (of is not None or not tf.inside_function()):
            raise GraphModeError(
                "Cannot apply a hub.Module to a tensor that is not of its graph.",
                endpoint.subject,
                expected="values, or tensors of the graph that is being built",
                found="an eager tensor" if of is None else f"{value.name!r} of another graph",
                advice="make the tensor while the graph is the default one; or pass its value, "
                "which is tensor.numpy() of an eager one",
            )
