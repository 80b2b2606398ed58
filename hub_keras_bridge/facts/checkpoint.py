"""Variables in and out of a TensorFlow checkpoint, by TF1 name and slice."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Collection, Iterable, Sequence

import tensorflow as tf

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.errors import CheckpointError, Subject
from hub_keras_bridge.errors.words import choices, show_shape
from hub_keras_bridge.facts.checkpoint_paths import copied, without_wildcards
from hub_keras_bridge.facts.variables import VariableFacts
from hub_keras_bridge.files import paths
from hub_keras_bridge.files.checkpoint_index import check_index
from hub_keras_bridge.files.layout import HUB_MODULE

# What to do.
DAMAGED = (
    "fetch the module again; the copy is damaged. From the cache, "
    "`hub-keras-bridge cache prune --broken --deep` removes it"
)
_INCOMPLETE = (
    "fetch the module again, or use a checkpoint that has all its variables; "
    "name_transform_fn maps names that differ"
)
_SAVED_WITHOUT = "save the model again, with a Saver of all variables that its signatures need"

# The entry of a checkpoint that says what objects the others belong to.
OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


class Checkpoint:
    """Reads variables one at a time, so that no second copy of all is held.

    Args:
        prefix: path of the checkpoint without ``.index``.
        subject: the module, for messages.
        key: TF1 name -> name in the checkpoint.

    Attributes:
        prefix: the same, or a way to it that TensorFlow does not take for another thing.
        subject: as given.

    Raises:
        CheckpointError: it cannot be opened.
    """

    def __init__(
        self, prefix: str, subject: Subject, key: Callable[[str], str] = lambda name: name
    ) -> None:
        # TensorFlow takes the prefix for a pattern; an alias has no wildcards.
        self._alias, self.prefix = without_wildcards(prefix)
        self.subject = subject
        self._key = key
        try:
            # Not there in TensorFlow's first format, which a Saver still writes.
            if tf.io.gfile.exists(f"{self.prefix}.index"):
                check_index(self.prefix)
            # Not tf.train.load_checkpoint, which takes any prefix on some remote
            # file systems for a folder.
            reader = tf.compat.v1.train.NewCheckpointReader(self.prefix)
            self._shapes = reader.get_variable_to_shape_map()
            self._dtypes = reader.get_variable_to_dtype_map()
        except (tf.errors.OpError, ValueError) as error:
            raise CheckpointError(
                f"Cannot open the checkpoint of a {subject.kind}.",
                subject,
                expected=f"a TensorFlow checkpoint at {prefix}",
                found=str(error),
                advice="fetch the module again, or pass the path that was given to Saver.save()",
            ) from error

    def prefix_for(self, graph: tf.Graph) -> str:
        """The prefix for ``init_from_checkpoint``, readable for as long as a graph lives.

        Some remote file systems take any prefix for a folder, in which TensorFlow
        would look for the newest of its checkpoints; of theirs it gets a copy.
        """
        if self._alias is None and paths.is_folder(self.prefix):
            self._alias, self.prefix = copied(self.prefix)
        if self._alias is not None:
            weakref.finalize(graph, self._alias.cleanup)
        return self.prefix

    def under(self, scope: str) -> Checkpoint:
        """The same checkpoint, for variables whose names have a scope in front there."""
        other = copy.copy(self)
        other._key = lambda name: scope + name  # noqa: SLF001
        return other

    @property
    def names(self) -> Collection[str]:
        """The names of its entries."""
        return self._shapes.keys()

    @property
    def is_of_objects(self) -> bool:
        """Whether a ``tf.train.Checkpoint`` wrote it, by where in an object a variable is."""
        return OBJECT_GRAPH in self._shapes

    def has(self, facts: VariableFacts) -> bool:
        """Whether there is an entry for a variable."""
        return self._key(facts.name) in self._shapes

    def fault(self, facts: VariableFacts) -> str | None:
        """What is wrong with the entry for a variable; None if it fits."""
        key = self._key(facts.name)
        if key not in self._shapes:
            return f"{key!r} is missing"
        expected, found = self._expected(facts), self._found(facts)
        return None if found == expected else f"{key!r} is {found}, not {expected}"

    def _expected(self, facts: VariableFacts) -> str:
        return f"{facts.dtype.name} {show_shape(facts.full_shape or facts.shape)}"

    def _found(self, facts: VariableFacts) -> str:
        key = self._key(facts.name)
        return f"{self._dtypes[key].name} {show_shape(self._shapes[key])}"

    def entry(self, key: str) -> VariableFacts:
        """What there is under a name, as a variable of that name.

        Raises:
            CheckpointError: there is nothing.
        """
        self._need(
            key,
            f"Cannot read {key!r} from the checkpoint of a {self.subject.kind}.",
            "fetch the module again; the copy is incomplete",
        )
        return VariableFacts(key, key, tuple(self._shapes[key]), self._dtypes[key], trainable=False)

    def check(self, facts: VariableFacts) -> None:
        """Checks that a variable is there in the right shape and dtype.

        Raises:
            CheckpointError: it is not.
        """
        key = self._key(facts.name)
        self._need(
            key,
            f"Cannot restore variable {facts.name!r} of a {self.subject.kind}.",
            _INCOMPLETE if self.subject.kind == HUB_MODULE else _SAVED_WITHOUT,
        )
        expected, found = self._expected(facts), self._found(facts)
        if found != expected:
            raise CheckpointError(
                f"Cannot restore variable {facts.name!r} of a {self.subject.kind}.",
                self.subject,
                expected=f"{expected} in {self.prefix}",
                found=found,
                advice="use the checkpoint that belongs to this graph",
            )

    def _need(self, key: str, problem: str, advice: str) -> None:
        if key not in self._shapes:
            raise CheckpointError(
                problem,
                self.subject,
                expected=f"an entry {key!r} in {self.prefix}",
                found=f"entries {choices(self._shapes)}",
                advice=advice,
            )

    def damage(self) -> str | None:
        """What is wrong with the values, the first of it; None if all are as written.

        TensorFlow compares the checksum that it noted with each value it wrote, and
        reads one after the other.
        """
        for name, dtype in sorted(self._dtypes.items()):
            try:
                with private_tf.eager_mode(), tf.device("CPU"):
                    tf.raw_ops.RestoreV2(
                        prefix=self.prefix,
                        tensor_names=[name],
                        shape_and_slices=[""],
                        dtypes=[dtype],
                    )
            except tf.errors.OpError as error:
                return f"the value of {name!r} is damaged: {error.message}"
        return None

    def read(self, facts: VariableFacts) -> tf.Tensor:
        """The value of a variable or slice, in its own shape and dtype.

        Raises:
            CheckpointError: it is absent, of another shape or dtype, or damaged.
        """
        self.check(facts)
        try:
            with private_tf.eager_mode():
                return self.restoring(facts)
        except tf.errors.OpError as error:
            raise CheckpointError(
                f"Cannot restore variable {facts.name!r} of a {self.subject.kind}.",
                self.subject,
                expected=f"readable data in {self.prefix}",
                found=error.message,
                advice=DAMAGED,
            ) from error

    def read_together(self, several: Sequence[VariableFacts]) -> list[tf.Tensor]:
        """As :meth:`read`, of several; opening a checkpoint for each takes its time."""
        for facts in several:
            self.check(facts)
        try:
            with private_tf.eager_mode():
                return self._restoring(several)
        except tf.errors.OpError:
            # To say which.
            return [self.read(facts) for facts in several]

    def restoring(self, facts: VariableFacts) -> tf.Tensor:
        """The op that reads a variable or slice; in a graph, when that runs."""
        return self._restoring([facts])[0]

    def _restoring(self, several: Sequence[VariableFacts]) -> list[tf.Tensor]:
        with tf.device("CPU"):
            values = tf.raw_ops.RestoreV2(
                prefix=self.prefix,
                tensor_names=[self._key(facts.name) for facts in several],
                shape_and_slices=[facts.slice_spec for facts in several],
                dtypes=[facts.dtype for facts in several],
            )
        for facts, value in zip(several, values, strict=True):
            value.set_shape(facts.shape)
        return list(values)


def write_checkpoint(
    prefix: str, values: Iterable[tuple[VariableFacts, tf.Tensor | tf.Variable]]
) -> None:
    """Writes variables so that a TF1 Saver finds them by name.

    Args:
        prefix: path of the checkpoint without ``.index``; its folder exists.
        values: each variable or slice with what to write for it.
    """
    pairs = list(values)
    with private_tf.eager_mode(), tf.device("CPU"):
        tf.raw_ops.SaveV2(
            prefix=prefix,
            tensor_names=[facts.name for facts, _ in pairs],
            shape_and_slices=[facts.slice_spec for facts, _ in pairs],
            # What holds them may hold narrower numbers, whose values are the same.
            tensors=[tf.cast(value, facts.dtype) for facts, value in pairs],
        )
