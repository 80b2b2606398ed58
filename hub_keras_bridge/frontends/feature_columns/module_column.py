"""A feature column that applies a TF1 Hub module, by both interfaces that TensorFlow has."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from hub_keras_bridge.compat import feature_columns
from hub_keras_bridge.errors import ConfigError
from hub_keras_bridge.facts.signatures import DEFAULT_KEY
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.frontends.feature_columns.key_column import KeyColumn
from hub_keras_bridge.frontends.tf1.module import Module

# What to do with a module that no column can be made of.
OTHERWISE = "apply the module as hub.Module or hub.ModuleLayer, which take any signature"

_RESOURCE = "module"  # by which a layer keeps a column's state


class ModuleColumn(KeyColumn, feature_columns.DenseColumn):
    """A column that applies a TF1 Hub module.

    ``tf.compat.v1.feature_column.input_layer`` and ``linear_model`` ask a column for a
    dense tensor and take its state from the graph's collections; ``DenseFeatures``
    of Keras 2 has a column make its state first, and keeps it.
    """

    trainable: bool
    module_spec: ModuleSpec
    dtype = tf.float32

    def _embed(self, module: Module, value: Any) -> tf.Tensor:
        """A vector for each example."""
        raise NotImplementedError

    def _make_module(self, trainable: bool | None) -> Module:
        return Module(self.module_spec, trainable=bool(self.trainable and trainable))

    @property
    def variable_shape(self) -> tf.TensorShape:
        """The shape of what there is of an example."""
        return self.module_spec.get_output_info_dict()[DEFAULT_KEY].get_shape()[1:]

    # --- the old interface ---

    @property
    def _parse_example_spec(self) -> Mapping[Any, Any]:
        return self.parse_example_spec

    @property
    def _variable_shape(self) -> tf.TensorShape:
        return self.variable_shape

    def _transform_feature(self, inputs: Any) -> Any:
        return inputs.get(self.key)

    def _get_dense_tensor(
        self,
        inputs: Any,
        weight_collections: Any = None,  # noqa: ARG002
        trainable: bool | None = None,
    ) -> tf.Tensor:
        value = inputs.get(self)
        return self._embed(self._make_module(trainable), value)

    # --- the newer one ---

    def create_state(self, state_manager: Any) -> None:
        """Makes the module that the calls of a layer share."""
        module = self._make_module(feature_columns.trains_columns(state_manager))
        state_manager.add_resource(self, _RESOURCE, module)

    def get_dense_tensor(self, transformation_cache: Any, state_manager: Any) -> tf.Tensor:
        """A vector for each example."""
        value = transformation_cache.get(self, state_manager)
        return self._embed(state_manager.get_resource(self, _RESOURCE), value)


class ColumnOfHandle(ModuleColumn):
    """A column that reads its module, and can be made again from the module's handle."""

    module_spec_path: Any

    def get_config(self) -> dict[str, Any]:
        """What the column was made of.

        Raises:
            ConfigError: that is a module, not its handle.
        """
        if not isinstance(self.module_spec_path, str | os.PathLike):
            raise ConfigError(
                "Can only generate a config of a feature column made of a module's handle.",
                self.module_spec.subject,
                expected="a handle as module_spec",
                found=f"a {type(self.module_spec_path).__name__}",
                advice="export the module, and make the column of the path",
            )
        return {**self._asdict(), "module_spec_path": os.fspath(self.module_spec_path)}
