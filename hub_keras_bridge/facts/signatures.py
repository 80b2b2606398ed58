"""What a signature takes and gives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import tensorflow as tf

from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.graphs import graph

DEFAULT_SIGNATURE = "default"
DEFAULT_KEY = "default"


@dataclass(frozen=True)
class SignatureFacts:
    """Inputs and outputs of one signature, by name."""

    inputs: dict[str, ParsedTensorInfo]
    outputs: dict[str, ParsedTensorInfo]

    @property
    def input_tensors(self) -> list[str]:
        """The graph tensors that feed it, flat, in the order of ``inputs``."""
        return [
            graph.tensor_name(name) for info in self.inputs.values() for name in info.tensor_names
        ]

    @property
    def input_specs(self) -> list[tf.TensorSpec]:
        """Dense specs in the order of ``input_tensors``."""
        return [spec for info in self.inputs.values() for spec in info.component_specs]

    def fetches(self, outputs: Iterable[str]) -> tuple[list[str], list[tf.TensorShape]]:
        """The graph tensors of some outputs, flat, and their static shapes."""
        infos = [self.outputs[key] for key in outputs]
        names = [name for info in infos for name in info.tensor_names]
        return names, [spec.shape for info in infos for spec in info.component_specs]
