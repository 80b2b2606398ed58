"""Which modules of a model, and of a TF1 graph, are exported, and under which names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import keras
import tensorflow as tf

from hub_keras_bridge.compat import keras as private_keras
from hub_keras_bridge.errors import PublishError
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.frontends.keras3.module_layer import ModuleLayer

# TensorFlow keeps collections whose key is a tuple to the process: they are not
# written with the graph, and nothing warns that a module cannot be.
_REGISTERED = ("hub_keras_bridge_modules_for_export",)

# The attribute of a registered layer.
_EXPORT_NAME = "export_name"


@runtime_checkable
class GraphModule(Protocol):
    """What the exporter needs of a module in a TF1 graph."""

    @property
    def spec(self) -> ModuleSpec:
        """What the module is."""

    @property
    def variable_map(self) -> Mapping[str, Any]:
        """TF1 name -> variable, or the list of a partitioned one's slices."""

    def export(self, path: str, session: tf.compat.v1.Session) -> None:
        """Writes the module with the values of a session."""


def register_module_for_export(module: ModuleLayer | GraphModule, export_name: str) -> None:
    """Names a module for :class:`LatestModuleExporter`.

    A :class:`ModuleLayer` is exported in any case, under the layer's own name
    unless it is registered under another one; of layers that share weights, the one
    that they were made of is, for all. A graph-mode :class:`Module` is
    exported only if it is registered, which is remembered in the graph.

    Args:
        module: a layer, or a module of the current default graph.
        export_name: name of the folder below the exporter's path.

    Raises:
        PublishError: the graph has a module of this name already, the name
            cannot be a folder's, or this is no TF1 Hub module.

    Example:

    >>> import tempfile, hub_keras_bridge as hub
    >>> def module_fn():
    ...     x = tf.compat.v1.placeholder(tf.float32, [None])
    ...     factor = tf.compat.v1.get_variable("factor", initializer=2.0)
    ...     hub.add_signature(inputs=x, outputs=x * factor)
    >>> with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    ...     module = hub.Module(hub.create_module_spec(module_fn))
    ...     hub.register_module_for_export(module, "double")
    ...     session.run(tf.compat.v1.global_variables_initializer())
    ...     exports = hub.LatestModuleExporter(tempfile.mkdtemp()).export()
    >>> print(hub.ModuleLayer(exports["double"])([3.0]).numpy())
    [6.]
    """
    if not _is_folder_name(export_name):
        raise PublishError(
            "Cannot register a TF1 Hub module for export: its name cannot be a folder's.",
            expected="a name without slashes",
            found=repr(export_name),
            advice="choose a name like 'encoder'",
        )
    if isinstance(module, ModuleLayer):
        if not holds_tf1_module(module):
            raise PublishError(
                "Cannot register a TF2 SavedModel for export as a TF1 Hub module.",
                expected="a layer made of a TF1 Hub module",
                found=f"layer {module.name!r}, made of a TF2 SavedModel",
                advice="leave it out, and save the Keras model that it is in",
            )
        setattr(module.weights_of or module, _EXPORT_NAME, export_name)
        return
    if not isinstance(module, GraphModule):
        raise PublishError(
            "register_module_for_export takes a hub.ModuleLayer or a hub.Module.",
            expected="a hub.ModuleLayer or a hub.Module",
            found=f"{type(module).__name__}: {module!r}",
            advice="register the module itself, not its outputs or its path",
        )
    current = tf.compat.v1.get_default_graph()
    if export_name in _registered_in(current):
        raise _taken(export_name)
    current.add_to_collection(_REGISTERED, (export_name, module))


def modules_of(model: Any, graph: tf.Graph) -> dict[str, ModuleLayer | GraphModule]:
    """All TF1 Hub modules by export name.

    Args:
        model: a Keras model, or None.
        graph: in which others may be registered.

    Raises:
        PublishError: there is none, or two have one name.
    """
    found: dict[str, ModuleLayer | GraphModule] = dict(_registered_in(graph))
    for layer in filter(holds_tf1_module, _layers_of(model)):
        name = str(getattr(layer, _EXPORT_NAME, layer.name))
        if name in found:
            raise _taken(name)
        found[name] = layer
    if not found:
        others = [layer.name for layer in passed_over(model)]
        raise PublishError(
            "Cannot export the TF1 Hub modules of a model: there is none.",
            expected="a hub.ModuleLayer in the model, or a registered hub.Module in the graph",
            found=f"layers made of TF2 SavedModels alone: {choices(others)}"
            if others
            else "neither",
            advice="save the model: a TF2 SavedModel cannot become a TF1 Hub module"
            if others
            else "give the exporter to the model that has the layer, or call "
            "hub.register_module_for_export(module, name) in the exporter's graph",
        )
    return found


def module_layers(model: keras.Model) -> list[ModuleLayer]:
    """The ModuleLayers in a model that hold weights, at any depth, each once."""
    layers = private_keras.all_layers(model)
    return [each for each in layers if isinstance(each, ModuleLayer) and each.weights_of is None]


def holds_tf1_module(layer: ModuleLayer) -> bool:
    """Whether a layer was made of a TF1 Hub module, and can be exported as one."""
    return layer._content.is_tf1_module  # noqa: SLF001


def passed_over(model: Any) -> list[ModuleLayer]:
    """The layers of a model that no TF1 Hub module can be made of."""
    return [layer for layer in _layers_of(model) if not holds_tf1_module(layer)]


def _layers_of(model: Any) -> list[ModuleLayer]:
    return [] if model is None else module_layers(model)


def _registered_in(graph: tf.Graph) -> dict[str, GraphModule]:
    return dict(graph.get_collection(_REGISTERED))


def _is_folder_name(name: Any) -> bool:
    return isinstance(name, str) and os.path.basename(name) == name and name not in ("", ".", "..")


def _taken(export_name: str) -> PublishError:
    return PublishError(
        f"Cannot export two TF1 Hub modules under the name {export_name!r}.",
        expected="a name of its own for each",
        found=f"{choices([export_name])} twice",
        advice="call hub.register_module_for_export(module, name) with another name, "
        "or name the layers differently",
    )
