"""LoadedModule: a TF1 Hub module as TensorFlow 2 reuses and saves objects.

TensorFlow 2 has a convention for objects that are to be built into larger
models and fine-tuned there, its reusable SavedModel interface: a function
``__call__(inputs, training=False)``, the lists ``variables``,
``trainable_variables`` and ``regularization_losses``. What has it can be saved
with ``tf.saved_model.save``, and what is saved needs nothing of this package.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from absl import logging

from hub_keras_bridge.errors import SignatureError
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.facts.signatures import DEFAULT_SIGNATURE
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.frontends.tf2.absent import absent
from hub_keras_bridge.frontends.tf2.modes import Modes, structured, traced
from hub_keras_bridge.frontends.tf2.pruned import Pruner
from hub_keras_bridge.frontends.tf2.signatures import Signatures, signature_function
from hub_keras_bridge.frontends.untracked import USE_A_LAYER, warn_of_untracked
from hub_keras_bridge.graphs.refusing import refusing
from hub_keras_bridge.plans.calls import losses_fed_by
from hub_keras_bridge.plans.endpoint import Endpoint
from hub_keras_bridge.plans.program import Programs
from hub_keras_bridge.plans.selection import Selection, warn_of_unfed_losses
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running.first_values import first_values
from hub_keras_bridge.running.runtime import Runtime

# What objects of tf.saved_model.load have for TF1 SavedModels, and this has not.
_INSTEAD = {
    "initializer": "its tables fill themselves",
    "restore": "assign to its variables what tf.train.load_variable(prefix, name) reads",
}


class LoadedModule(tf.Module):
    """A TF1 Hub module with the reusable SavedModel interface; made by :func:`load`.

    Called, it returns the signature's output ``"default"``, or all outputs by
    name where there is none of this name. It takes a bare value where the
    signature has one input, else a dict by input name. Where no signature was
    asked for and none is called ``"default"``, there is nothing to call; its
    signatures work.

    Attributes:
        spec: what the module is.
        variables: all variables, under their TF1 names; a partitioned one's
            slices each.
        trainable_variables: those in TRAINABLE_VARIABLES of the training variant.
        regularization_losses: functions without arguments, one per entry of
            REGULARIZATION_LOSSES that depends on variables alone; none where there
            is nothing to call.
        signatures: name -> function from keyword inputs to a dict of outputs,
            of the variant for inference. Of a keyword, what is neither a letter
            nor a digit is an underscore. A sparse input ``x`` is ``x``, or
            ``x_indices``, ``x_values`` and ``x_dense_shape``; another one of
            several tensors ``x``, or ``x_component_0`` and so on.
        serve: the signature in use, if there is one; ``tf.saved_model.save`` saves
            it as ``serving_default`` if it is told of no others.
        graph: the variant's graph, each node under its published name; made when
            it is asked for. In safe mode, placeholders stand for what may reach
            outside of it.
        asset_paths: its files, each a ``tf.saved_model.Asset``.
        tensorflow_version: which TensorFlow published it.
        tensorflow_git_version: of what revision.
    """

    # Plain attributes where tf.Module has properties: SavedModels keep no properties.
    variables: Sequence[tf.Variable] = ()
    trainable_variables: Sequence[tf.Variable] = ()

    graph: tf.Graph

    # As the original library names it; false of a TF1 SavedModel.
    _is_hub_module_v1 = True

    def __init__(self, spec: ModuleSpec, selection: Selection, trust: Trust) -> None:
        super().__init__(name="hub_module")
        self.spec = spec
        programs = Programs(spec)
        program = programs.of(selection.tags)
        variant = program.variant
        publisher = variant.published.meta_info_def
        self.tensorflow_version = publisher.tensorflow_version
        self.tensorflow_git_version = publisher.tensorflow_git_version
        self._modes = Modes.of(programs, selection, trust)
        by_node = _create_variables(spec, selection, trust)
        trained = selection.trained(spec)
        self.variables = list(by_node.values())
        trainable = [v for node, v in by_node.items() if node in trained]
        self.trainable_variables = trainable
        self._runtime = Runtime(by_node, spec.files.assets, trust)
        self._pruner = Pruner(self._runtime, program, spec.files.assets, trust)
        self._files = [spec.files.assets[name] for name in dict.fromkeys(variant.assets.values())]
        self.regularization_losses: list[Callable[[], tf.Tensor]] = []
        make = functools.partial(signature_function, self._runtime, trainable)
        self.signatures = Signatures(programs, selection, trust, make)
        if self._modes is None:
            return
        self.regularization_losses += _loss_functions(self._runtime, self._modes.training)
        # Python calls what the class has, TensorFlow saves what the instance has:
        # a traced function, which takes tensors alone.
        with refusing(
            spec.subject,
            "Cannot trace the calls of a TF1 Hub module.",
            "graphs that give what its signatures say",
        ):
            setattr(self, "__call__", traced(self._runtime, self._modes))  # noqa: B010
        self.serve = self.signatures[self._modes.inference.signature]

    def __call__(self, inputs: Any = None, training: bool | tf.Tensor = False) -> Any:
        """Runs the signature.

        Args:
            inputs: a value, or a dict by input name.
            training: whether the variant for training and the update ops run.

        Returns:
            One output, or all by name.

        Raises:
            InputError: the inputs do not fit the signature.
            SignatureError: there is no signature to run.
        """
        if self._modes is None:
            subject = self.spec.subject
            raise SignatureError(
                f"Cannot call a {subject.kind} without a signature {DEFAULT_SIGNATURE!r}.",
                subject,
                expected=f"one of its signatures, {choices(self.signatures)}",
                found="none named",
                advice="call module.signatures[...] with a name from this list, or load the "
                "module with signature=...",
            )
        warn_of_untracked(self, lambda: self.trainable_variables, self.spec.subject, USE_A_LAYER)
        mode = training if tf.is_tensor(training) else bool(training)
        endpoint = self._modes.training if mode is True else self._modes.inference
        values = structured(endpoint, endpoint.bind(inputs))
        return vars(self)["__call__"](values, training=mode)

    def prune(self, feeds: Any, fetches: Any) -> Any:
        """A function from some tensors of the graph to others, on the module's variables.

        Example:

        >>> import hub_keras_bridge as hub
        >>> def module_fn():
        ...     x = tf.compat.v1.placeholder(tf.float32, [None], name="x")
        ...     hidden = tf.multiply(x, 3.0, name="hidden")
        ...     hub.add_signature(inputs=x, outputs=hidden + 1.0)
        >>> module = hub.load(hub.create_module_spec(module_fn))
        >>> hidden = module.prune("x:0", "hidden:0")
        >>> hidden(tf.constant([1.0, 2.0])).numpy().tolist()
        [3.0, 6.0]

        Args:
            feeds: tensors of ``graph``, or their names, in any nest.
            fetches: tensors, ops or their names, in the nest that the function is
                to return; in place of an op, which it runs, there is None.

        Returns:
            A ``tf.types.experimental.ConcreteFunction``, whose arguments are the
            feeds, flat.

        Raises:
            SignatureError: there are no such tensors, or they need one that is not
                fed.
            UnsafeModuleError: safe mode refuses an op.
        """
        return self._pruner.prune(feeds, fetches)

    def __getattr__(self, name: str) -> Any:
        # Made when asked for. As properties, they would be whenever the module is
        # saved: TensorFlow looks at all that the class lists.
        if name == "graph":
            return self._pruner.graph
        if name == "asset_paths":
            return list(map(tf.saved_model.Asset, self._files))
        raise AttributeError(absent(self, name, _INSTEAD))

    def hold_vocabularies(self) -> None:
        """Lets what is saved from now on fill its tables without files.

        Their entries become constants, for readers such as TensorFlow Lite
        that know no asset files.
        """
        self._runtime.hold_vocabularies()


def _create_variables(
    spec: ModuleSpec, selection: Selection, trust: Trust
) -> dict[str, tf.Variable]:
    """Node -> variable with its value, for all that calls may use."""
    trained = selection.trained(spec)
    needed = selection.needed(spec, trainable=True)
    values = first_values(spec, selection.tags, needed, trust)
    with tf.name_scope(""):
        return {
            facts.node: tf.Variable(
                value, trainable=facts.node in trained, name=facts.node, dtype=facts.dtype
            )
            for facts, value in values
        }


def _loss_functions(runtime: Runtime, endpoint: Endpoint) -> list[Callable[[], tf.Tensor]]:
    """One function per regularization loss that needs no input."""
    warn_of_unfed_losses(endpoint)
    program = endpoint.program
    if fed := losses_fed_by(program.variant, endpoint.facts):
        logging.warning(
            "Left out %d regularization loss(es) that depend on inputs; the reusable SavedModel "
            "interface has none such, ModuleLayer has (%s): %s",
            len(fed),
            endpoint.subject,
            choices(fed),
        )

    def loss(number: int) -> Callable[[], tf.Tensor]:
        return tf.function(
            lambda: runtime.standing_losses(program)[number], input_signature=[], autograph=False
        )

    return [loss(number) for number in range(len(runtime.standing_losses(program)))]
