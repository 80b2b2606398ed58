"""Values in files, between two Pythons that cannot share a TensorFlow.

Imported on both sides. A value (dense, sparse or ragged) becomes a dict of
arrays, its parts; nested dicts of arrays go into one ``.npz`` file, each array
under its path as JSON, since names of inputs and variables may hold anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

Parts = dict[str, np.ndarray]


def describe(spec: Any, attachments: Callable[[frozenset[str]], Any]) -> dict[str, Any]:
    """Tags, signatures and attachments of a spec of either library, ready for JSON."""
    return {
        json.dumps(sorted(tags)): {
            "signatures": {
                name: {
                    "inputs": _infos(spec.get_input_info_dict(name, tags)),
                    "outputs": _infos(spec.get_output_info_dict(name, tags)),
                }
                for name in spec.get_signature_names(tags)
            },
            "attachments": attachments(tags),
        }
        for tags in spec.get_tags()
    }


def _infos(infos: dict[str, Any]) -> dict[str, Any]:
    return {
        key: [
            type(info.type_spec).__name__,
            info.dtype.name,
            info.get_shape().as_list() if info.get_shape().rank is not None else None,
        ]
        for key, info in infos.items()
    }


def write(path: Path, tree: dict[str, Any]) -> None:
    """Writes nested dicts of arrays; a dict without entries is not kept."""
    np.savez(path, **{json.dumps(keys): array for keys, array in _leaves(tree, [])})


def read(path: Path) -> dict[str, Any]:
    """The inverse of :func:`write`."""
    tree: dict[str, Any] = {}
    # Strings are pickled objects in this format; the file is our own.
    with np.load(path, allow_pickle=True) as archive:
        for name in archive.files:
            *keys, last = json.loads(name)
            branch = tree
            for key in keys:
                branch = branch.setdefault(key, {})
            branch[last] = archive[name]
    return tree


def _leaves(tree: Any, keys: list[str]) -> Any:
    if not isinstance(tree, dict):
        yield keys, np.asarray(tree)
        return
    for key, branch in tree.items():
        yield from _leaves(branch, [*keys, key])


def to_parts(value: Any) -> Parts:
    """The arrays of a tensor, or of what a session returned for one."""
    if hasattr(value, "nested_row_splits"):
        splits = {f"row_splits_{i}": s for i, s in enumerate(value.nested_row_splits)}
        return _arrays({"flat_values": value.flat_values, **splits})
    if hasattr(value, "dense_shape"):
        names = ("indices", "values", "dense_shape")
        return _arrays({name: getattr(value, name) for name in names})
    return _arrays({"value": value})


def to_tensor(parts: Parts) -> Any:
    """The inverse of :func:`to_parts`, in the current graph or eagerly."""
    if "flat_values" in parts:
        splits = [parts[f"row_splits_{i}"] for i in range(len(parts) - 1)]
        return tf.RaggedTensor.from_nested_row_splits(tf.constant(parts["flat_values"]), splits)
    if "dense_shape" in parts:
        return tf.SparseTensor(parts["indices"], tf.constant(parts["values"]), parts["dense_shape"])
    return tf.constant(parts["value"])


def _arrays(values: dict[str, Any]) -> Parts:
    return {name: np.asarray(value) for name, value in values.items()}
