"""TF2 SavedModels behind the interface that ``load`` gives TF1 Hub modules.

Some have the reusable SavedModel interface already, whole or in part. Of the
others, such as Keras 3's exports, a signature is called, and the variables are
those that TensorFlow restored.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from hub_keras_bridge.errors import CheckpointError, SignatureError, Subject
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.facts.checkpoint import DAMAGED, Checkpoint
from hub_keras_bridge.facts.feeding import Slot
from hub_keras_bridge.facts.signatures import SignatureFacts
from hub_keras_bridge.files.layout import VARIABLES_PREFIX
from hub_keras_bridge.frontends.tf2.calls import OWN, Call, choose_call, own_call, traced_again
from hub_keras_bridge.frontends.tf2.inputs import converted, mapped, named, undecided, unmixed
from hub_keras_bridge.frontends.tf2.objects import check_captures, check_lists
from hub_keras_bridge.frontends.untracked import USE_A_LAYER, warn_of_untracked
from hub_keras_bridge.running import devices
from hub_keras_bridge.running.place import need_threads


@dataclass(frozen=True)
class _Kept:
    """What is to live as long as the model, and is not for TensorFlow to track."""

    variables: Sequence[tf.Variable]
    subject: Subject


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

    def __init__(self, restored: Any, signature: str | None, subject: Subject) -> None:
        super().__init__(name="saved_model")
        self.restored = restored
        self.variables = list(getattr(restored, "variables", None) or _tracked(restored))
        self.trainable_variables = _trainable(restored, self.variables)
        self.regularization_losses = list(getattr(restored, "regularization_losses", ()))
        check_lists(self, subject)
        self.signatures = restored.signatures
        losses = {f"regularization loss {n}": f for n, f in enumerate(self.regularization_losses)}
        read = check_captures({**self.signatures, **losses, OWN: getattr(restored, OWN, None)})
        self._kept = _Kept(read, subject)
        self._call = choose_call(restored, signature, subject)
        self.runs = None if self._call is None else self._call.runs
        self._subject = subject
        if self._call is None:
            return
        if self.runs != OWN:
            self._subject = subject.with_signature(self._call.runs)
        serves, function = self._call.serves, self._call.function
        if serves is not None and getattr(function, "input_signature", None) is None:
            # Else the call itself is saved as a signature, being the only one.
            self.serve = traced_again(self.signatures[serves])
        # Python calls what the class has, TensorFlow saves what the instance has.
        setattr(self, OWN, function)

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
        warn_of_untracked(self, lambda: self.trainable_variables, self._subject, USE_A_LAYER)
        return self.run_restored(inputs, training)

    def run_restored(self, inputs: Any, training: bool | tf.Tensor) -> Any:
        """As a call, of who looks after the variables."""
        call = self.need_call()
        need_threads(self._subject)
        values = self.converted({} if inputs is None else inputs)
        function = call.function
        if not call.takes_training:
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

    def running(self, signature: str | None) -> RestoredModel:
        """The same restored object, of which a call runs something else.

        Raises:
            SignatureError: there is no such signature.
        """
        return RestoredModel(self.restored, signature, self._kept.subject)

    def need_call(self) -> Call:
        """What a call runs.

        Raises:
            SignatureError: there is nothing to call.
        """
        if self._call is None:
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
        return self._call

    @property
    def input_specs(self) -> Any:
        """Dtypes and shapes of the inputs: of the only one, or by name."""
        return self.need_call().inputs

    @property
    def lists_all(self) -> bool:
        """Whether no variable that it tracks is missing in ``variables``."""
        return {id(v) for v in _tracked(self.restored)} <= {id(v) for v in self.variables}

    @property
    def interface(self) -> dict[str, SignatureFacts]:
        """What goes in and out: of the SavedModel's own call, and of each signature."""
        own = own_call(self.restored)
        calls = {OWN: own.concrete_functions[0]} if own else {}
        found = {}
        for name, function in {**calls, **self.signatures}.items():
            arguments, by_name = function.structured_input_signature
            inputs = named(arguments[0] if name == OWN else by_name, "inputs")
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
            return self.run_restored(given, training), losses

        return _traced(run, inputs)

    def trace_call(self, inputs: Any, *, training: bool) -> Any:
        """As :meth:`trace`, of what the call returns alone."""
        return _traced(lambda given: self.run_restored(given, training), inputs)

    def trace_losses(self) -> Any:
        """The function of the regularization losses: a list of them."""
        return _traced(lambda: [loss() for loss in self.regularization_losses])

    def mapped(self, inputs: Any, make: Callable[[Slot, Any], Any]) -> Any:
        """What is made of each input, in the nest that they are in; see :func:`inputs.mapped`."""
        return mapped(self.need_call().inputs, inputs, self._subject, make)

    @property
    def asset_paths(self) -> list[tf.Tensor]:
        """Where the SavedModel's own files are, as functions capture it."""
        return [each.asset_path for each in _assets(self.restored)]

    def unmixed(self, inputs: Any) -> Any:
        """The inputs as Keras takes them; see :func:`inputs.unmixed`."""
        return unmixed(self.need_call().inputs, inputs, self._subject)

    def converted(self, inputs: Any) -> Any:
        """The inputs as tensors of the dtypes that the model was traced for.

        Raises:
            InputError: they do not fit.
        """
        return converted(self.need_call().inputs, inputs, self._subject)

    def undecided(self, inputs: Any) -> list[str]:
        """Which symbolic inputs fit or not by their values; see :func:`inputs.undecided`."""
        return undecided(self.need_call().inputs, inputs, self._subject)


def _traced(run: Callable[..., Any], *inputs: Any) -> Any:
    with tf.init_scope():
        return tf.function(run, autograph=False).get_concrete_function(*inputs)


def load_restored(
    path: str, subject: Subject, options: tf.saved_model.LoadOptions | None = None
) -> Any:
    """What TensorFlow makes of a SavedModel, its variables with their values.

    Raises:
        CheckpointError: a value is not the one that was saved.
    """
    devices.leave_gpus()
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


def _tracked(restored: Any) -> list[tf.Variable]:
    """All variables that a restored object holds, at any depth."""
    found = tf.train.TrackableView(restored).descendants()
    return [each for each in found if isinstance(each, tf.Variable)]


def _assets(restored: Any) -> list[tf.saved_model.Asset]:
    found = tf.train.TrackableView(restored).descendants()
    return [each for each in found if isinstance(each, tf.saved_model.Asset)]


def _trainable(restored: Any, variables: Sequence[tf.Variable]) -> list[tf.Variable]:
    if hasattr(restored, "variables") or hasattr(restored, "trainable_variables"):
        return list(getattr(restored, "trainable_variables", ()))
    return [variable for variable in variables if variable.trainable]
