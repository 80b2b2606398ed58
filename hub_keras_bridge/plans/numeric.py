"""A graph of numbers alone, as inference engines get it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import tensorflow as tf
from tensorflow.core.framework import graph_pb2


@dataclass(frozen=True, eq=False)
class NumericGraph:
    """Numbers in, numbers out, and no effects: no variables, strings or tables.

    Attributes:
        graph_def: the graph, whose weights are constants.
        inputs: name -> the placeholder's tensor.
        specs: name of an input -> dtype and shape, as far as it is known.
        outputs: name -> tensor.
    """

    graph_def: graph_pb2.GraphDef
    inputs: Mapping[str, str]
    specs: Mapping[str, tf.TensorSpec]
    outputs: Mapping[str, str]

    @classmethod
    def of(
        cls,
        graph_def: graph_pb2.GraphDef,
        inputs: Mapping[str, tuple[str | None, tf.TensorSpec]],
        outputs: Mapping[str, str | None],
    ) -> NumericGraph:
        """Gives each tensor at the border a name, that of the signature if it has one.

        Args:
            graph_def: the graph.
            inputs: placeholder -> its name, if there is one, and its dtype and shape.
            outputs: tensor -> its name, if there is one.
        """
        taken: set[str] = set()

        def free(name: str) -> str:
            while name in taken:
                name += "_"
            taken.add(name)
            return name

        names = {t: free(name or f"between_{i}") for i, (t, (name, _)) in enumerate(inputs.items())}
        # A file of an engine has one name for one tensor.
        out = {
            tensor: free(name or f"result_{i}") for i, (tensor, name) in enumerate(outputs.items())
        }
        return cls(
            graph_def=graph_def,
            inputs={name: tensor for tensor, name in names.items()},
            specs={names[tensor]: spec for tensor, (_, spec) in inputs.items()},
            outputs={name: tensor for tensor, name in out.items()},
        )
