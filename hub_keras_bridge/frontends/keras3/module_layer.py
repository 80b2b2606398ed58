"""ModuleLayer: what a handle leads to as a Keras layer."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import Any

import keras
import tensorflow as tf

from hub_keras_bridge.compat import direct_calls
from hub_keras_bridge.compat import keras as private_keras
from hub_keras_bridge.errors import Subject
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.variables import by_name
from hub_keras_bridge.frontends.keras3.archived_layer import ArchivedLayer
from hub_keras_bridge.frontends.keras3.call_arguments import are_plain, gathered, training_call
from hub_keras_bridge.frontends.keras3.call_checks import need_own_strategy, warn_if_untracked
from hub_keras_bridge.frontends.keras3.checkpoint_loading import CheckpointLoading
from hub_keras_bridge.frontends.keras3.choice import Choice
from hub_keras_bridge.frontends.keras3.content import IN_A_GRAPH
from hub_keras_bridge.frontends.keras3.content_layer import WeightsOf
from hub_keras_bridge.frontends.keras3.jit import JitByOps
from hub_keras_bridge.frontends.keras3.opening import open_content
from hub_keras_bridge.frontends.keras3.shaped_layer import ShapedLayer
from hub_keras_bridge.frontends.keras3.symbolic import (
    ShapeMemory,
    need_float_policy,
    to_output_dtypes,
)
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running import xla
from hub_keras_bridge.running.backends.current import current, never_compiled
from hub_keras_bridge.running.place import need_eager_execution


@keras.saving.register_keras_serializable(package="hub_keras_bridge")
class ModuleLayer(
    ArchivedLayer,
    ShapedLayer,
    CheckpointLoading,
    JitByOps,
    private_keras.OwnLosses,
    direct_calls.DirectCalls,
):
    """Runs one signature of a TF1 Hub module, or a SavedModel, and fine-tunes it.

    The call returns the output named ``"default"``, or ``output_key``, or with
    ``as_dict=True`` a dict of all outputs. It takes a bare value where the
    signature has one input, else a dict by input name: NumPy arrays, lists,
    dense, ragged and sparse tensors. Dtypes and shapes are those of the
    signature (``layer.spec.get_input_info_dict()``), whatever the Keras dtype
    policy says, and so are those of the weights and of all that the module
    computes. Only an output in float32 is returned in the policy's compute
    dtype, as the layers after it expect: in float16 under ``mixed_float16``. As
    with any layer, ``dtype="float32"`` keeps it as it is.

    Of a TF2 SavedModel the call runs what :func:`load` makes of it: its own
    ``__call__``, or a signature. It takes and returns what that does, a bare value
    or a nest of values. There is no ``spec`` of it, no variant for training, and it
    cannot be exported as a module.

    A TF1 SavedModel, which an Estimator or ``simple_save`` wrote, is used as a TF1 Hub
    module is. The weights are those that a signature needs; an optimizer's are left out.

    Keras may compute with TensorFlow, JAX or PyTorch: values and weights are that
    framework's. Text goes through ``fit`` as :func:`text_to_bytes` makes it, where there are
    no strings. Under a ``tf.distribute`` strategy, make the layer inside its scope.

    Example:

    >>> import tensorflow as tf, hub_keras_bridge as hub
    >>> def module_fn():
    ...     x = tf.compat.v1.placeholder(tf.float32, [None, 2])
    ...     scale = tf.compat.v1.get_variable("scale", initializer=[[3.0, 5.0]])
    ...     hub.add_signature(inputs=x, outputs=x * scale)
    >>> layer = hub.ModuleLayer(hub.create_module_spec(module_fn), trainable=True)
    >>> layer([[1.0, 1.0]]).numpy().tolist()
    [[3.0, 5.0]]
    >>> list(layer.variable_map)
    ['scale']

    And of a TF2 SavedModel:

    >>> import tempfile
    >>> model = tf.Module()
    >>> model.scale = tf.Variable([[3.0, 5.0]])
    >>> model.__call__ = tf.function(
    ...     lambda x: x * model.scale, input_signature=[tf.TensorSpec([None, 2])]
    ... )
    >>> folder = tempfile.mkdtemp()
    >>> tf.saved_model.save(model, folder)
    >>> hub.ModuleLayer(folder)([[1.0, 1.0]]).numpy().tolist()
    [[3.0, 5.0]]

    Args:
        handle: what :func:`resolve` takes, or a :class:`ModuleSpec`, whose
            variables then take their initializers' values.
        signature: name of the signature; if None ``"default"``, of a TF1 SavedModel
            ``serving_default`` or the only one, of a TF2 SavedModel its own
            ``__call__``, or, if it has none, ``serving_default`` or the only one.
        output_key: name of the output to return; if None ``"default"``, of a TF1
            SavedModel the only one, of a TF2 SavedModel what it returns. Of a TF1 graph
            also an inner tensor, by its published name, such as ``"dense/BiasAdd:0"``,
            where the signature has no output of that name. A list of names returns a dict.
        as_dict: whether to return all outputs by name, and the inner tensor that
            ``output_key`` names.
        trainable: whether the module's TRAINABLE_VARIABLES are trained; its
            REGULARIZATION_LOSSES then are in ``layer.losses`` and its
            UPDATE_OPS run once per training call. Of a TF2 SavedModel, what it
            lists as trainable and as losses; training calls run in its training
            mode.
        trainable_patterns: a regular expression or a list of them; only
            variables whose TF1 name one of them is found in are trained.
        tags: which variant runs; the empty set if None, of a TF1 SavedModel
            ``{"serve"}`` or those of its only graph. A TF2 SavedModel has one.
        training_tags: which variant runs in a call with ``training=True`` of a
            trainable layer; ``tags | {"train"}`` if None and there is such a
            variant, else ``tags``. Not for a TF2 SavedModel.
        safe_mode: whether to refuse a module that reaches outside its own
            graph (files, network, Python).
        trusted_ops: names of ops that it may reach outside with even so, as an
            audit tells them.
        **kwargs: those of ``keras.layers.Layer``, such as ``name``.

    Raises:
        BackendError: Keras computes with neither TensorFlow nor JAX nor PyTorch.
        HandleError: the handle leads nowhere.
        FormatError: what it leads to is neither a TF1 Hub module nor a
            SavedModel, or is damaged.
        InputError: ``dtype`` is none of the floats.
        TagsError: no variant has these tags.
        SignatureError: no such signature, output or inner tensor.
        TrainingError: a pattern matches no trainable variable.
        UnsafeModuleError: safe mode refuses an op.
        UnknownOpError: TensorFlow lacks an op of the module.
        GraphModeError: a TF1 graph is being built, of a TF2 SavedModel.
    """

    def __init__(
        self,
        handle: str | os.PathLike[str] | ModuleSpec,
        *,
        signature: str | None = None,
        output_key: str | Sequence[str] | None = None,
        as_dict: bool = False,
        trainable: bool = False,
        trainable_patterns: str | Sequence[str] | None = None,
        tags: Collection[str] | None = None,
        training_tags: Collection[str] | None = None,
        safe_mode: bool = True,
        trusted_ops: Collection[str] = (),
        **kwargs: Any,
    ) -> None:
        current()
        super().__init__(trainable=trainable, autocast=False, **kwargs)
        private_keras.take_inputs_as_they_are(self)
        choice = Choice.of(
            signature,
            output_key,
            as_dict,
            trainable_patterns,
            tags,
            training_tags,
            Trust.of(safe_mode, trusted_ops),
        )
        self._shapes = ShapeMemory()
        if isinstance(handle, WeightsOf):
            self._share(handle, choice)
        else:
            self._take(open_content(handle, choice, trainable))
            self._hold(trainable)
        need_float_policy(self._policy_dtype, self._content.subject)

    def _hold(self, trainable: bool) -> None:
        """Lets Keras track the variables that came with the content."""
        held = self._content.held
        if held:
            self._variables_held = held
        if not trainable:
            # Keras tells this to variables that a frozen layer makes, and later to all
            # that it tracks as trainable. Models ask each variable, not its layer.
            for variable in held:
                variable.trainable = False

    # --- the module ---

    def _repr_html_(self) -> str:
        """What goes in and out, where a notebook shows the layer."""
        return self._content.table(f"ModuleLayer {self.name!r}")

    @property
    def spec(self) -> ModuleSpec:
        """What the module is.

        Raises:
            FormatError: the layer runs a TF2 SavedModel.
        """
        return self._content.spec

    @property
    def variable_map(self) -> dict[str, keras.Variable | list[keras.Variable]]:
        """Name -> variable, or the list of a partitioned one's slices.

        The names are those of TF1. Of a TF2 SavedModel, a name that came up before
        has its number behind it.
        """
        self._ensure_built()
        return by_name(self._content.weights)

    def with_signature(
        self,
        signature: str | None = None,
        *,
        output_key: str | Sequence[str] | None = None,
        as_dict: bool = False,
        **kwargs: Any,
    ) -> ModuleLayer:
        """Another layer on the same weights, which runs another signature.

        It is trained, frozen, saved and exported with this layer: variables are listed
        once in a model that has both, and so are regularization losses. Update ops
        run in each training call of a signature that feeds them. Variants,
        ``trainable_patterns`` and safe mode are those of this layer.

        Example:

        >>> import tensorflow as tf, hub_keras_bridge as hub
        >>> def module_fn():
        ...     x = tf.compat.v1.placeholder(tf.float32, [None, 2])
        ...     scale = tf.compat.v1.get_variable("scale", initializer=[2.0, 4.0])
        ...     hub.add_signature("encode", x, x * scale)
        ...     hub.add_signature("decode", x, x / scale)
        >>> encode = hub.ModuleLayer(hub.create_module_spec(module_fn), signature="encode")
        >>> decode = encode.with_signature("decode")
        >>> decode(encode([[1.0, 3.0]])).numpy().tolist()
        [[1.0, 3.0]]
        >>> decode.weights[0] is encode.weights[0]
        True

        Args:
            signature: its name, as in the constructor.
            output_key: name of the output to return, or of an inner tensor, as in the
                constructor.
            as_dict: whether to return all outputs by name.
            **kwargs: those of ``keras.layers.Layer``, such as ``name``; the dtype
                policy is this layer's if none is given.

        Raises:
            SignatureError: no such signature or output.
            UnsafeModuleError: safe mode refuses an op.
            UnknownOpError: TensorFlow lacks an op of the module.
        """
        choice = self._content.choice
        return ModuleLayer(
            WeightsOf(self.weights_of or self),  # type: ignore[arg-type]
            signature=signature,
            output_key=output_key,
            as_dict=as_dict,
            trainable=self.trainable,
            trainable_patterns=choice.patterns,
            tags=choice.tags,
            training_tags=choice.training_tags,
            safe_mode=not choice.trust.everything,
            trusted_ops=choice.trust.ops,
            **{"dtype": self.dtype_policy, **kwargs},
        )

    def export_module(self, path: str | os.PathLike[str]) -> None:
        """Writes a TF1 Hub module with the current weights.

        It has all variants, signatures, assets and attachments that the module
        came with; the original library loads it too. What was a TF1 SavedModel has its
        tags and signatures as a module, and no other collections than modules have.

        Args:
            path: the directory to make; it may exist, without any file of a module.

        Raises:
            ExportError: the target is taken or cannot be written, or the layer runs a
                TF2 SavedModel.
        """
        self._ensure_built()
        self._content.need_here("export")
        self._content.export(os.fspath(path))

    def hold_vocabularies(self) -> None:
        """Lets what is exported from now on fill its tables without files.

        Their entries become constants, for readers such as TensorFlow Lite
        that know no asset files.

        Raises:
            ExportError: the layer runs a TF2 SavedModel.
        """
        self._ensure_built()
        self._content.hold_vocabularies()

    # --- Keras: building and calling ---

    @tf.autograph.experimental.do_not_convert
    def build(self, input_shape: Any = None) -> None:  # noqa: ARG002
        """Creates the weights; needs no input shape.

        Raises:
            CheckpointError: the checkpoint lacks a variable that is needed.
        """
        if not self.built:
            content = self._content
            need_eager_execution(IN_A_GRAPH, content.subject, advice=content.graph_mode)
            if self.weights_of is None:
                content.create_weights(self)
            elif not self.weights_of.built:
                # Whichever is called first: paths of weights name the one that holds them.
                with private_keras.beside_layer_being_built():
                    self.weights_of.build()

    @never_compiled
    @tf.autograph.experimental.do_not_convert
    def __call__(self, inputs: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As Keras does it, of inputs that Keras lets through.

        Inputs may be named as in the signature: ``layer(query=..., document=...)`` is
        ``layer({"query": ..., "document": ...})``.
        """
        if not are_plain(args, kwargs):
            inputs, kwargs = gathered(self.call, self._content, inputs, args, kwargs)
        given = self._content.unmixed(inputs)
        if self.built:
            return super().__call__(given, **kwargs)
        with self._content.filling_tables():
            return super().__call__(given, **kwargs)

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs: Any = None, training: bool | tf.Tensor | None = None) -> Any:
        """Runs the signature.

        Args:
            inputs: a value, or a dict by input name.
            training: whether this is a training call; the variant and the
                update ops of ``training_tags`` run if the layer is trainable. Of a
                tensor whose value is not known yet, both variants are in the graph.

        Returns:
            One output, or all by name.

        Raises:
            InputError: the inputs do not fit the signature.
            StrategyError: a training call under a strategy made after the layer.
            XlaError: a call that XLA is to compile and cannot.
            BackendError: a call in stateless form of what needs its variables; or the framework
                that Keras computes with cannot hold what comes out.
            GraphModeError: a TF1 graph is being built.
        """
        content = self._content
        learning = self.trainable and training_call(training)
        need_eager_execution(IN_A_GRAPH, content.subject, advice=content.graph_mode)
        content.need_here("run")
        xla.need_ops(
            lambda: content.missing_ops(training=learning is not False, inputs=inputs),
            f"Cannot compile a {content.kind} with XLA: it lacks some of the module's ops.",
            content.call_subject,
        )
        if learning is not False:
            need_own_strategy(self, content.subject)
        warn_if_untracked(self, content.subject)
        outputs, losses = content.run(inputs, training=learning, trainable=self.trainable)
        for loss in losses:
            self.add_loss(loss)
        return to_output_dtypes(outputs, self._policy_dtype)

    def standing_losses(self) -> list[tf.Tensor]:
        """The regularization losses of current weights, where these are held; none when frozen."""
        if self.weights_of is not None or not self.trainable:
            return []
        return self._content.standing_losses()

    # --- Keras: XLA ---

    @property
    def _subject(self) -> Subject:
        return self._content.call_subject

    def _missing_ops(self) -> dict[str, str] | None:
        content = self._content
        if not content.is_here:
            return None
        missing = content.missing_ops(training=False)
        return missing | (content.missing_ops(training=True) if self.trainable else {})
