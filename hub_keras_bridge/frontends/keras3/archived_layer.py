"""A layer in Keras's configs, weights files and archives."""

from __future__ import annotations

from typing import Any, TypeVar

from hub_keras_bridge.compat import keras as private_keras
from hub_keras_bridge.frontends.keras3 import sharing
from hub_keras_bridge.frontends.keras3.content_layer import ContentLayer
from hub_keras_bridge.frontends.keras3.opening import revive
from hub_keras_bridge.frontends.keras3.symbolic import ShapeMemory
from hub_keras_bridge.frontends.keras3.weight_store import load_weights, save_weights
from hub_keras_bridge.plans.trust import granted

Layer = TypeVar("Layer", bound="ArchivedLayer")


class ArchivedLayer(ContentLayer):
    """What Keras asks a layer to save, and gives it to load.

    A layer on the weights of another one leaves these, and the graphs, to that.
    """

    _shapes: ShapeMemory

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, and facts about the module."""
        content = self._content
        if self.weights_of is None:
            source = {"handle": content.name, **content.describe()}
        else:
            source = sharing.config_on(self.weights_of, content.describe_choice())
        return {
            **super().get_config(),
            **source,
            **sharing.config_of_holder(self),
            **content.choice.to_config(),
            "inferred_outputs": self._shapes.to_json(),
        }

    @classmethod
    def from_config(cls: type[Layer], config: dict[str, Any]) -> Layer:
        """The inverse of :meth:`get_config`."""
        return sharing.rebuild(dict(config), cls._made_from)

    @classmethod
    def _made_from(cls: type[Layer], config: dict[str, Any]) -> Layer:
        shapes = {key: config.pop(key, "{}") for key in ("inferred_outputs", "inferred_shapes")}
        if private_keras.loads_in_safe_mode():
            # Who wrote the archive does not decide that it is to be trusted.
            config |= {"safe_mode": True, "trusted_ops": granted()}
        source = sharing.revive(config) or revive(config)
        layer = cls(source, **config)
        layer._shapes = layer._content.recall(**shapes)
        return layer

    def save_own_variables(self, store: Any) -> None:
        """Writes the weights by name."""
        if self.weights_of is None:
            self._ensure_built()
            save_weights(store, self._content.weights)

    def load_own_variables(self, store: Any) -> None:
        """Reads the weights by name.

        Raises:
            CheckpointError: names or shapes differ.
        """
        # Before there are graphs: an archive's initializers are never run.
        self._ensure_built()
        if self.weights_of is None:
            load_weights(store, self._content.weights, self._content.subject)

    def save_assets(self, inner_path: str) -> None:
        """Writes graphs and vocabularies into a Keras archive."""
        if self.weights_of is None:
            self._content.need_here("save")
            self._content.save(inner_path)

    def load_assets(self, inner_path: str) -> None:
        """Takes graphs and vocabularies from a Keras archive.

        Raises:
            FormatError: config, weights and graphs do not belong together.
        """
        if self.weights_of is None:
            self._take(self._content.load(inner_path, self.trainable))
            self._content.add_seeds(self)
