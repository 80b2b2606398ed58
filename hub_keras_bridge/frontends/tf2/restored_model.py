"""TF2 SavedModels behind the interface that ``load`` gives TF1 Hub modules.

Some have the reusable SavedModel interface already, whole or in part. Of the
others, such as Keras 3's exports, a signature is called, and the variables are
those that TensorFlow restored.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from hub_keras_bridge.errors import (
    CheckpointError,
    FormatError,
    SignatureError,
    Subject,
    TagsError,
    choices,
    show_tags,
)
from hub_keras_bridge.facts.checkpoint import DAMAGED, Checkpoint
from hub_keras_bridge.facts.signatures import SignatureFacts
from hub_keras_bridge.files.assets import own_file
from hub_keras_bridge.files.layout import (
    MODULE_FILE,
    SAVED_MODEL_FILE,
    VARIABLES_PREFIX,
    safe_asset_name,
)
from hub_keras_bridge.frontends.tf2.inputs import converted, named, unmixed
from hub_keras_bridge.frontends.tf2.looked_at import as_looked_at
from hub_keras_bridge.frontends.tf2.objects import check_captures, check_objects
from hub_keras_bridge.frontends.tf2.restored_graph import plan_of_calls, what_may_run
from hub_keras_bridge.graphs.calls import check_calls
from hub_keras_bridge.graphs.ops.unregistered import need_registered
from hub_keras_bridge.graphs.refusing import refusing
from hub_keras_bridge.plans import safe_mode
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running.forking import need_threads

_DAMAGED = (
    "Cannot load a TF2 SavedModel.",
    "functions and objects that this TensorFlow can restore",
)

_OWN = "__call__"
_SERVING = tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY


@dataclasses.dataclass(frozen=True)
class _Takes:
    """What a call takes: not for TensorFlow to track."""

    inputs: Any
    training: bool


def _load(path: str, options: tf.saved_model.LoadOptions | None, subject: Subject) -> Any:
    """What TensorFlow makes of a SavedModel, its variables with their values.

    Raises:
        CheckpointError: a value is not the one that was saved.
    """
    try:
        return tf.saved_model.load(path, options=options)
    except tf.errors.DataLossError as error:
        prefix = os.path.join(path, VARIABLES_PREFIX)
        raise CheckpointError(
            "Cannot restore the variables of a SavedModel.",
            subject,
            expected=f"readable data in {VARIABLES_PREFIX}",
            found=Checkpoint(prefix, subject).damage() or error.message,
            advice=DAMAGED,
        ) from error


class RestoredModel(tf.Module):
    """A TF2 SavedModel with the reusable SavedModel interface; see ``load``.

    Called, it runs the SavedModel's own ``__call__``, if it has one of one input and
    no signature is asked for. Else it runs a signature, which knows no training:
    it takes a bare value where the signature has one input, else a dict by
    input name, and returns its only output, or all by name. Where that is not
    one signature, there is nothing to call.

    What else the SavedModel's object has, such as functions of its own, this has.

    Attributes:
        restored: what ``tf.saved_model.load`` returned.
        variables: its variables, or all that it tracks if it lists none.
        trainable_variables: those of its variables that it says are to be
            trained; of variables that it does not list, the trainable ones.
        runs: ``"__call__"``, or the name of the signature that a call runs; None
            if there is nothing to call.
        regularization_losses: functions without arguments; empty if it has none.
        signatures: name -> function from keyword inputs to a dict of outputs.
        serve: the signature saved as ``serving_default``, if there is one.
    """

    # Plain attributes where tf.Module has properties: SavedModels keep no properties.
    variables: Sequence[tf.Variable] = ()
    trainable_variables: Sequence[tf.Variable] = ()

    # As the original library names it.
    _is_hub_module_v1 = False

    def __init__(
        self,
        path: str,
        signature: str | None,
        subject: Subject,
        options: tf.saved_model.LoadOptions | None = None,
    ) -> None:
        super().__init__(name="saved_model")
        restored = _load(path, options, subject)
        self.restored = restored
        self.variables = list(getattr(restored, "variables", None) or _tracked(restored))
        self.trainable_variables = _trainable(restored, self.variables)
        self.regularization_losses = list(getattr(restored, "regularization_losses", ()))
        _need_interface(self, subject)
        self.signatures = restored.signatures
        losses = {f"regularization loss {n}": f for n, f in enumerate(self.regularization_losses)}
        call = {_OWN: getattr(restored, _OWN, None)}
        check_captures({**self.signatures, **losses, **call})
        self._subject = subject
        own = None if signature else _own_call(restored)
        self.runs: str | None = _OWN
        if own is not None:
            function, name = own, _SERVING if _SERVING in self.signatures else None
            specs = function.concrete_functions[0].structured_input_signature[0][0]
        else:
            self.runs = name = _chosen(self.signatures, signature, subject)
            if name is None:
                return
            self._subject = subject.with_signature(name)
            specs, function = _call_of_signature(self.signatures[name])
        if name is not None and getattr(function, "input_signature", None) is None:
            # Else the call itself is saved as a signature, being the only one.
            self.serve = _traced_again(self.signatures[name])
        takes_training = "training" in inspect.signature(function).parameters
        self._takes = _Takes(specs, takes_training)
        # Python calls what the class has, TensorFlow saves what the instance has.
        setattr(self, _OWN, function)

    def __call__(self, inputs: Any = None, training: bool | tf.Tensor = False) -> Any:
        """Runs the model.

        Args:
            inputs: a value, or a dict by input name.
            training: whether this is a training call; without effect on a model
                that makes no difference.

        Returns:
            What the model returns.

        Raises:
            InputError: the inputs do not fit.
            SignatureError: there is nothing to call.
            ForkError: this process was forked after TensorFlow had run.
        """
        self.need_call()
        need_threads(self._subject)
        values = self.converted({} if inputs is None else inputs)
        function = vars(self)[_OWN]
        if not self._takes.training:
            return function(values)
        if not tf.is_tensor(training):
            return function(values, training=bool(training))
        return tf.cond(
            training,
            lambda: function(values, training=True),
            lambda: function(values, training=False),
        )

    def __getattr__(self, name: str) -> Any:
        # Asked for what this object lacks. Names with an underscore are TensorFlow's.
        if name.startswith("_") or "restored" not in vars(self):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.restored, name)

    def need_call(self) -> None:
        """Checks that there is something to call.

        Raises:
            SignatureError: there is not.
        """
        if self.runs is None:
            raise SignatureError(
                "A TF2 SavedModel has nothing to call.",
                self._subject,
                expected=f"one of {choices(self.signatures)}"
                if self.signatures
                else "a traced __call__ of one input, or a signature",
                found="no traced __call__ of one input",
                advice="pass signature=... with one of these names"
                if self.signatures
                else "call its functions by their names, which are attributes of what "
                "hub.load(path) returns",
            )

    @property
    def input_specs(self) -> Any:
        """Dtypes and shapes of the inputs: of the only one, or by name."""
        return self._takes.inputs

    @property
    def lists_all(self) -> bool:
        """Whether no variable that it tracks is missing in ``variables``."""
        return {id(v) for v in _tracked(self.restored)} <= {id(v) for v in self.variables}

    @property
    def interface(self) -> dict[str, SignatureFacts]:
        """What goes in and out: of the SavedModel's own call, and of each signature."""
        own = _own_call(self.restored)
        calls = {_OWN: own.concrete_functions[0]} if own else {}
        found = {}
        for name, function in {**calls, **self.signatures}.items():
            arguments, by_name = function.structured_input_signature
            inputs = named(arguments[0] if name == _OWN else by_name, "inputs")
            found[name] = SignatureFacts(inputs, named(function.structured_outputs, "output"))
        return found

    def trace(self, inputs: Any, *, training: bool = False) -> Any:
        """The function of one kind of call.

        Args:
            inputs: tensors, or their dtypes and shapes (``tf.TypeSpec``).
            training: whether it is a training call, with regularization losses.

        Returns:
            A ``tf.types.experimental.ConcreteFunction`` whose results are what the
            call returns and the list of losses.
        """

        def run(given: Any) -> Any:
            losses = [loss() for loss in self.regularization_losses] if training else []
            return self(given, training=training), losses

        with tf.init_scope():
            return tf.function(run, autograph=False).get_concrete_function(inputs)

    def unmixed(self, inputs: Any) -> Any:
        """The inputs as Keras takes them; see :func:`saved_models.inputs.unmixed`."""
        return unmixed(self._takes.inputs, inputs, self._subject)

    def converted(self, inputs: Any) -> Any:
        """The inputs as tensors of the dtypes that the model was traced for.

        Raises:
            InputError: they do not fit.
        """
        return converted(self._takes.inputs, inputs, self._subject)


def is_saved_model(path: str) -> bool:
    """Whether a folder is a SavedModel and no TF1 Hub module."""
    has_module_file, has_graphs = (
        tf.io.gfile.exists(os.path.join(path, name)) for name in (MODULE_FILE, SAVED_MODEL_FILE)
    )
    return has_graphs and not has_module_file


def is_tf2_saved_model(path: str, subject: Subject) -> bool:
    """Whether a folder is a SavedModel that TensorFlow 2 wrote.

    Raises:
        FormatError: its graphs are damaged.
    """
    if not is_saved_model(path):
        return False
    meta_graphs = _read(path, subject).meta_graphs
    return len(meta_graphs) == 1 and meta_graphs[0].HasField("object_graph_def")


def restore(
    path: str,
    tags: Collection[str] | None,
    *,
    signature: str | None,
    trust: Trust,
    subject: Subject,
    options: tf.saved_model.LoadOptions | None = None,
) -> RestoredModel:
    """Loads a TF2 SavedModel.

    Args:
        path: its folder.
        tags: those it was saved with, or None.
        signature: what a call runs; None for the model's own ``__call__``, or,
            if it has none, ``serving_default`` or the only signature.
        trust: what may reach outside its own graph.
        subject: for messages.
        options: TensorFlow's, of how it loads.

    Raises:
        FormatError: it is damaged, or an asset's name leads outside its folder.
        TagsError: it was saved with other tags.
        SignatureError: there is no such signature.
        UnsafeModuleError: an op that is not trusted may reach outside.
    """
    (meta_graph,) = _read(path, subject).meta_graphs
    own_tags = frozenset(meta_graph.meta_info_def.tags)
    if tags is not None and frozenset(tags) != own_tags:
        raise TagsError(
            f"A TF2 SavedModel has no graph with tags {show_tags(tags)}.",
            subject,
            expected=show_tags(own_tags),
            found=show_tags(tags),
            advice="leave the tags out; it has one graph only, for inference and training",
        )
    for asset in meta_graph.asset_file_def:
        name = safe_asset_name(asset.filename, subject)
        own_file(path, name, subject, of="TF2 SavedModel")
    with refusing(subject, *_DAMAGED):
        if trust.everything:
            return RestoredModel(path, signature, subject, options)
        check_objects(meta_graph)
        loaded = what_may_run(meta_graph)
        calls = plan_of_calls(loaded, subject)
        safe_mode.require_safe([calls], subject, trust)
        need_registered(calls.graph_def, subject)
        check_calls(calls.graph_def, apart=True)
        with as_looked_at(path, loaded) as folder:
            return RestoredModel(folder, signature, subject, options)


def no_variants(subject: Subject, training_tags: Collection[str]) -> TagsError:
    """The error about a variant for training, which a TF2 SavedModel has not."""
    return TagsError(
        "A TF2 SavedModel has no variant for training.",
        subject,
        expected="no training_tags",
        found=show_tags(training_tags),
        advice="leave training_tags out; its own __call__ knows what training changes",
    )


def _read(path: str, subject: Subject) -> saved_model_pb2.SavedModel:
    saved_model = saved_model_pb2.SavedModel()
    try:
        with tf.io.gfile.GFile(os.path.join(path, SAVED_MODEL_FILE), "rb") as stream:
            saved_model.ParseFromString(stream.read())
    except (DecodeError, tf.errors.OpError) as error:
        raise FormatError(
            f"Cannot read a SavedModel: {SAVED_MODEL_FILE} is damaged.",
            subject,
            expected="a serialized SavedModel message",
            found=str(error),
            advice="fetch it or save it again",
        ) from error
    return saved_model


# List -> what is in it.
_LISTED = {
    "signatures": "functions of TensorFlow",
    "variables": "variables",
    "trainable_variables": "variables",
    "regularization_losses": "functions without arguments",
}


def _need_interface(model: RestoredModel, subject: Subject) -> None:
    """Checks that what a SavedModel lists is what its lists are for.

    Raises:
        FormatError: a list has something else.
    """
    others = {
        "signatures": [
            f for f in model.signatures.values() if not hasattr(f, "structured_input_signature")
        ],
        "variables": [v for v in model.variables if not isinstance(v, tf.Variable)],
        "trainable_variables": [
            v for v in model.trainable_variables if not isinstance(v, tf.Variable)
        ],
        "regularization_losses": [
            loss for loss in model.regularization_losses if not _needs_no_argument(loss)
        ],
    }
    for name, found in others.items():
        if found:
            raise FormatError(
                f"Cannot use a TF2 SavedModel: its {name} are none.",
                subject,
                expected=_LISTED[name],
                found=choices(type(each).__name__ for each in found),
                advice="fetch it or save it again",
            )


def _needs_no_argument(loss: Any) -> bool:
    traced = getattr(loss, "concrete_functions", None) or [loss]
    return any(
        callable(each) and not tf.nest.flatten(getattr(each, "structured_input_signature", [0]))
        for each in traced
    )


def _tracked(restored: Any) -> list[tf.Variable]:
    """All variables that a restored object holds, at any depth."""
    found = tf.train.TrackableView(restored).descendants()
    return [each for each in found if isinstance(each, tf.Variable)]


def _trainable(restored: Any, variables: Sequence[tf.Variable]) -> list[tf.Variable]:
    if hasattr(restored, "variables") or hasattr(restored, "trainable_variables"):
        return list(getattr(restored, "trainable_variables", ()))
    return [variable for variable in variables if variable.trainable]


def _own_call(restored: Any) -> Any:
    """The object's traced ``__call__``, if it takes one input; None without one."""
    function = getattr(restored, _OWN, None) if callable(restored) else None
    if function is None or not getattr(function, "concrete_functions", None):
        return None
    signature = inspect.signature(function)
    try:
        signature.bind(None, **({"training": False} if "training" in signature.parameters else {}))
    except TypeError:
        return None
    return function


def _chosen(signatures: Mapping[str, Any], wanted: str | None, subject: Subject) -> str | None:
    """The name of the signature to call; None if none is wanted and none suggests itself."""
    if wanted is not None and wanted not in signatures:
        raise SignatureError(
            f"A TF2 SavedModel has no signature {wanted!r}.",
            subject,
            expected=f"one of {choices(signatures)}",
            found=repr(wanted),
            advice="pass signature=... with one of these names"
            if signatures
            else "leave signature out",
        )
    alone = next(iter(signatures)) if len(signatures) == 1 else None
    return wanted or (_SERVING if _SERVING in signatures else alone)


def _traced_again(signature: Any) -> Any:
    """The same signature, as one that was not restored: only such are saved again."""

    def serve(**inputs: Any) -> dict[str, Any]:
        return signature(**inputs)

    _, specs = signature.structured_input_signature
    return tf.function(serve, autograph=False).get_concrete_function(**specs)


def _call_of_signature(signature: Any) -> tuple[Any, Callable[..., Any]]:
    """What a signature takes, and the function that makes it a ``__call__``."""
    _, specs = signature.structured_input_signature
    only = next(iter(specs)) if len(specs) == 1 else None

    def run(inputs: Any, training: bool = False) -> Any:  # noqa: ARG001
        outputs = signature(**({only: inputs} if only else inputs))
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    function = tf.function(run, autograph=False)
    given = specs[only] if only else dict(specs)
    for training in (False, True):
        function.get_concrete_function(given, training=training)
    return given, function
