"""A TF2 SavedModel on its way through a Keras config and archive.

Keras restores a model from its config first, then the weights, then the
assets. So the config carries what a layer must know of the SavedModel, its
variables and the dtypes of its inputs; the archive has the rest of it among the
assets.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import tempfile
import weakref
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import tensorflow as tf

from hub_keras_bridge.errors import FormatError, Subject
from hub_keras_bridge.facts.variables import VariableFacts
from hub_keras_bridge.files.layout import SAVED_MODEL_FILE, VARIABLES_PREFIX
from hub_keras_bridge.frontends.tf2.restored_model import RestoredModel


@dataclasses.dataclass(frozen=True, eq=False)
class SavedModelSource:
    """Where a SavedModel is, and what it is.

    Attributes:
        name: the SavedModel as messages call it.
        folder: where it is; None where a config is all there is.
        identity: a hash of its graphs.
        keepalive: owner of ``folder``, if that is temporary.
    """

    name: str
    folder: str | None
    identity: str
    keepalive: object = None


# The entry of a checkpoint that says what the others are.
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"

# Sources in use, so that a clone of a layer out of an archive finds its own.
_LIVE: weakref.WeakValueDictionary[str, SavedModelSource] = weakref.WeakValueDictionary()


def source_of(folder: str, name: str) -> SavedModelSource:
    """The source that a folder is."""
    source = SavedModelSource(name, folder, _identity(folder))
    share(source)
    return source


def share(source: SavedModelSource) -> None:
    """Lets configs that tell of a source find it, while it is in use."""
    _LIVE[source.identity] = source


def _identity(folder: str) -> str:
    with tf.io.gfile.GFile(os.path.join(folder, SAVED_MODEL_FILE), "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def revive(identity: str, name: str) -> SavedModelSource:
    """The source that a config tells of: in use, behind its name, or not here."""
    live = _LIVE.get(identity)
    if live is not None and os.path.isdir(live.folder or ""):
        return live
    if os.path.isfile(os.path.join(name, SAVED_MODEL_FILE)):
        found = source_of(name, name)
        if found.identity == identity:
            return found
    return SavedModelSource(name, None, identity)


def copy_source(source: SavedModelSource, folder: str, *, with_values: bool) -> None:
    """Copies a SavedModel into an existing folder.

    Args:
        source: what to copy.
        folder: where to.
        with_values: whether its checkpoint is copied, too.
    """
    assert source.folder is not None
    _copy(source.folder, folder, set() if with_values else {os.path.dirname(VARIABLES_PREFIX)})


def kept_copy(folder: str, name: str) -> SavedModelSource:
    """A source of its own, made from a folder that will go; not shared yet."""
    keepalive = tempfile.TemporaryDirectory(prefix="hub_keras_bridge_")
    _copy(folder, keepalive.name)
    return SavedModelSource(name, keepalive.name, _identity(keepalive.name), keepalive)


def has_values(source: SavedModelSource) -> bool:
    """Whether a SavedModel has a checkpoint."""
    return tf.io.gfile.exists(_checkpoint(source) + ".index")


def count_of_values(source: SavedModelSource) -> int:
    """How many values the checkpoint of a SavedModel has.

    One for each variable; then those of mutable tables, of an optimizer, and others.
    """
    entries = dict(tf.train.list_variables(_checkpoint(source)))
    return len(entries.keys() - {_OBJECT_GRAPH})


def write_values(source: SavedModelSource, model: RestoredModel) -> None:
    """Gives a SavedModel a checkpoint with the values that its variables have now."""
    tf.train.Checkpoint(root=model.restored).write(_checkpoint(source))


def _checkpoint(source: SavedModelSource) -> str:
    assert source.folder is not None
    return os.path.join(source.folder, VARIABLES_PREFIX)


def _copy(source: str, target: str, leave_out: Collection[str] = ()) -> None:
    for parent, _, files in tf.io.gfile.walk(source):
        place = os.path.relpath(parent, source)
        if place in leave_out:
            continue
        inside = os.path.join(target, place)
        tf.io.gfile.makedirs(inside)
        for file in files:
            tf.io.gfile.copy(os.path.join(parent, file), os.path.join(inside, file), overwrite=True)


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a layer must know of a SavedModel before it is there.

    Attributes:
        variables: in order, each under a name of its own.
        input_dtypes: of the only input, or in the nest that the inputs are in,
            with lists for tuples; None where that is not known.
    """

    variables: tuple[VariableFacts, ...]
    input_dtypes: Any

    def to_config(self) -> dict[str, Any]:
        """The facts, ready for JSON."""
        variables = [[f.node, list(f.shape), f.dtype.name, f.trainable] for f in self.variables]
        return {"variables": variables, "input_dtypes": self.input_dtypes}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Facts:
        """The inverse of :meth:`to_config`."""
        variables = [
            VariableFacts(node, node, tuple(shape), tf.as_dtype(dtype), trainable)
            for node, shape, dtype, trainable in config["variables"]
        ]
        return cls(tuple(variables), config["input_dtypes"])


def facts_of(model: RestoredModel, subject: Subject) -> Facts:
    """The facts of a SavedModel that is there.

    Raises:
        FormatError: a variable has no fixed shape, as Keras's have.
    """
    return Facts(tuple(_variables(model, subject)), _dtypes(model.input_specs))


def _dtypes(specs: Any) -> Any:
    if isinstance(specs, tf.TypeSpec):
        return specs.dtype.name
    if isinstance(specs, Mapping):
        return {name: _dtypes(spec) for name, spec in specs.items()}
    return list(map(_dtypes, specs)) if isinstance(specs, list | tuple) else None


def _variables(model: RestoredModel, subject: Subject) -> Iterator[VariableFacts]:
    trainable = {id(variable) for variable in model.trainable_variables}
    counts: dict[str, int] = {}
    for variable in model.variables:
        name = variable.name.removesuffix(":0")
        counts[name] = number = counts.get(name, 0) + 1
        # Keras 3 names as many variables "kernel" as there are.
        unique = name if number == 1 else f"{name}#{number}"
        if not variable.shape.is_fully_defined():
            raise FormatError(
                f"Cannot make a layer of a TF2 SavedModel: variable {name!r} has no fixed shape.",
                subject,
                expected="variables whose shapes are known, as Keras's are",
                found=str(variable.shape),
                advice="use hub.load, or save it again with variables of fixed shapes",
            )
        shape = tuple(variable.shape.as_list())
        yield VariableFacts(unique, unique, shape, variable.dtype, id(variable) in trainable)
