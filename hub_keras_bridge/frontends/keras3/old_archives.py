"""The class by whose name Keras archives of version 0.1.0 have the layer of a TF2 SavedModel."""

from __future__ import annotations

import keras

from hub_keras_bridge.frontends.keras3.module_layer import ModuleLayer


@keras.saving.register_keras_serializable(package="hub_keras_bridge")
class SavedModelLayer(ModuleLayer):
    """A ModuleLayer out of such an archive.

    Keras looks for a layer's weights and files in an archive in a folder that is
    named after the layer's class, so that the class has to stay.
    """
