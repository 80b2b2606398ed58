"""LatestModuleExporter: a Keras callback that publishes while a model trains.

An export is a folder ``<path>/<export name>/<timestamp>``, where the timestamp
is the Unix time in seconds, as TensorFlow Serving and others expect of
versions: of two exports the greater number is the newer one. The original
library has the two the other way round, and so can this.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal

import keras
import tensorflow as tf
from absl import logging

from hub_keras_bridge.errors import CheckpointError, PublishError, Subject
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.files.exporting import new_directory
from hub_keras_bridge.frontends.keras3 import export_folders
from hub_keras_bridge.frontends.keras3.exported_modules import GraphModule, modules_of, passed_over
from hub_keras_bridge.frontends.keras3.module_layer import ModuleLayer

When = Literal["epoch_end", "train_end"]
Layout = Literal["name/timestamp", "timestamp/name"]


class LatestModuleExporter(keras.callbacks.Callback):
    """Exports a model's modules while it trains, and keeps the newest exports.

    Every :class:`ModuleLayer` of the model, those of nested models included, is
    written to ``path/<export name>/<timestamp>``: a TF1 Hub module with the
    weights of that moment. All exports of one moment have the same timestamp,
    which is greater than any there before. An export is there as a whole or not
    at all; older ones are removed when all new ones are there. What a killed
    process left unfinished is removed by the next export. The layer of a TF2
    SavedModel is left out, with a warning that names it.

    Modules that :func:`register_module_for_export` put into a TF1 graph are
    exported too. A TF1 training loop has no callbacks: it calls :meth:`export`.

    With ``layout="timestamp/name"`` a module is written to
    ``path/<timestamp>/<export name>``, where the original library wrote it: one
    folder for all exports of one moment, which is there with all of them.

    Example:

    >>> import numpy as np, os, tempfile, hub_keras_bridge as hub
    >>> def module_fn():
    ...     x = tf.compat.v1.placeholder(tf.float32, [None, 2])
    ...     scale = tf.compat.v1.get_variable("scale", initializer=[3.0, 5.0])
    ...     hub.add_signature(inputs=x, outputs=x * scale)
    >>> layer = hub.ModuleLayer(hub.create_module_spec(module_fn), trainable=True, name="scaler")
    >>> model = keras.Sequential([layer, keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> path = tempfile.mkdtemp()
    >>> exporter = LatestModuleExporter(path, exports_to_keep=2)
    >>> history = model.fit(
    ...     np.ones([4, 2]), np.ones([4, 1]), epochs=3, callbacks=[exporter], verbose=0
    ... )
    >>> exports = sorted(os.listdir(os.path.join(path, "scaler")))
    >>> len(exports)
    2
    >>> newest = hub.ModuleLayer(os.path.join(path, "scaler", exports[-1]))
    >>> np.array_equal(newest(np.ones([1, 2])), layer(np.ones([1, 2])))
    True

    Args:
        path: the folder above all exports; made if need be.
        serving_input_fn: refused: the original's exporter needed it, and an
            estimator, which TensorFlow has no longer.
        exports_to_keep: how many exports of each module to keep; None for all.
        when: ``"epoch_end"`` to export after each epoch, ``"train_end"`` once,
            when ``fit`` is done.
        checkpoint_dir: where a TF1 training loop saves its checkpoints. Modules
            in the graph then take their values from the latest one there, not
            from the default session; a ModuleLayer's are always its own.
        graph: the graph whose registered modules are exported; by default the
            default graph of the moment when the exporter is made.
        layout: ``"name/timestamp"``, or ``"timestamp/name"`` for programs that
            read what the original library exported.

    Raises:
        PublishError: an argument is none of the above; when training begins,
            two modules have one export name, or there is no module at all.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        serving_input_fn: None = None,
        *,
        exports_to_keep: int | None = 5,
        when: When = "epoch_end",
        checkpoint_dir: str | os.PathLike[str] | None = None,
        graph: tf.Graph | None = None,
        layout: Layout = "name/timestamp",
    ) -> None:
        super().__init__()
        if serving_input_fn is not None:
            raise _for_estimators(path)
        _check_choice("when", when, when in ("epoch_end", "train_end"), "'epoch_end', 'train_end'")
        _check_choice(
            "exports_to_keep",
            exports_to_keep,
            exports_to_keep is None or (isinstance(exports_to_keep, int) and exports_to_keep >= 1),
            "None, or a number from 1 on",
        )
        _check_choice(
            "layout",
            layout,
            layout in ("name/timestamp", "timestamp/name"),
            "'name/timestamp', 'timestamp/name'",
        )
        self._path = os.fspath(path)
        self._exports_to_keep = exports_to_keep
        self._when = when
        self._timestamp_first = layout == "timestamp/name"
        self._checkpoint_dir = None if checkpoint_dir is None else os.fspath(checkpoint_dir)
        self._graph = graph or tf.compat.v1.get_default_graph()
        self._told: set[str] = set()

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Refuses a model that could not be exported before it is trained."""
        self._modules()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Exports, if asked to after each epoch."""
        if self._when == "epoch_end":
            self.export()

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
        """Exports, if asked to at the end."""
        if self._when == "train_end":
            self.export()

    def export(self) -> dict[str, str]:
        """Exports all modules now.

        Without ``checkpoint_dir``, modules in a TF1 graph take their values from
        the default session.

        Returns:
            Export name -> folder of the new export.

        Raises:
            PublishError: there is no module, or two have one name.
            CheckpointError: there is no checkpoint where one is needed, or it
                lacks a variable.
            ExportError: a folder could not be written.
        """
        modules = self._modules()
        parents = [self._path]
        if not self._timestamp_first:
            parents = [os.path.join(self._path, name) for name in modules]
        for parent in parents:
            export_folders.remove_removed(parent)
        timestamp = export_folders.next_timestamp(parents)
        write = self._writer(modules.values())
        if self._timestamp_first:
            version = os.path.join(self._path, timestamp)
            exports = {name: os.path.join(version, name) for name in modules}
            with new_directory(version, Subject()) as folder:
                for name, module in modules.items():
                    write(module, os.path.join(folder, name))
        else:
            exports = {name: os.path.join(self._path, name, timestamp) for name in modules}
            for name, module in modules.items():
                write(module, exports[name])
        for parent in parents:
            export_folders.remove_old(parent, self._exports_to_keep)
        return exports

    def _modules(self) -> dict[str, ModuleLayer | GraphModule]:
        """All modules by export name."""
        found = modules_of(self.model, self._graph)
        others = [layer.name for layer in passed_over(self.model)]
        if set(others) - self._told:
            self._told.update(others)
            logging.warning(
                "Not exported, since a TF2 SavedModel cannot become a TF1 Hub module; "
                "save the model to keep what was trained: %s",
                choices(others),
            )
        return found

    def _writer(
        self, modules: Iterable[ModuleLayer | GraphModule]
    ) -> Callable[[ModuleLayer | GraphModule, str], None]:
        # Decided once, so that all take their values from one checkpoint.
        write_graph_module = self._writer_of_graph_modules(modules)

        def write(module: ModuleLayer | GraphModule, path: str) -> None:
            if isinstance(module, ModuleLayer):
                module.export_module(path)
            else:
                write_graph_module(module, path)

        return write

    def _writer_of_graph_modules(
        self, modules: Iterable[ModuleLayer | GraphModule]
    ) -> Callable[[GraphModule, str], None]:
        if all(isinstance(module, ModuleLayer) for module in modules):
            return _refuse_without_session
        if self._checkpoint_dir is not None:
            checkpoint = tf.train.latest_checkpoint(self._checkpoint_dir)
            if checkpoint is None:
                raise CheckpointError(
                    "Cannot export a TF1 Hub module: nothing was saved yet.",
                    expected=f"a checkpoint in {self._checkpoint_dir}",
                    found="none",
                    advice="save one with tf.compat.v1.train.Saver before exporting",
                )
            return partial(_write_from_checkpoint, graph=self._graph, checkpoint=checkpoint)
        session = tf.compat.v1.get_default_session()
        return _refuse_without_session if session is None else partial(_write, session=session)


def _write(module: GraphModule, path: str, session: tf.compat.v1.Session) -> None:
    module.export(path, session)


def _write_from_checkpoint(
    module: GraphModule, path: str, graph: tf.Graph, checkpoint: str
) -> None:
    saved_as = _names_in_checkpoints(module, graph)
    module.spec.export(path, checkpoint, lambda name: saved_as.get(name, name))


def _names_in_checkpoints(module: GraphModule, graph: tf.Graph) -> dict[str, str]:
    """The module's own name of each variable -> the name that a Saver gives it."""
    names = {}
    for name, variable in module.variable_map.items():
        with graph.as_default():
            definition = (variable[0] if isinstance(variable, list) else variable).to_proto()
        # Slices are saved together, under the name of the whole.
        saved_as = definition.save_slice_info_def.full_name or definition.variable_name
        names[name] = saved_as.removesuffix(":0")
    return names


def _refuse_without_session(module: GraphModule, path: str) -> None:
    raise PublishError(
        "Cannot export a TF1 Hub module of a graph: its variables' values are unknown.",
        module.spec.subject,
        expected="a default session, or an exporter with checkpoint_dir=...",
        found="neither",
        advice=f"call export() within `with session.as_default():` to write {path}",
    )


def _check_choice(argument: str, given: Any, is_one: bool, expected: str) -> None:
    if not is_one:
        raise PublishError(
            f"Cannot make a LatestModuleExporter with {argument}={given!r}.",
            expected=expected,
            found=repr(given),
            advice="see help(LatestModuleExporter)",
        )


def _for_estimators(name: Any) -> PublishError:
    return PublishError(
        "Cannot make a LatestModuleExporter that exports from a tf.estimator.Estimator.",
        expected="the path of a folder, and no serving_input_fn",
        found=f"LatestModuleExporter({name!r}, serving_input_fn)",
        advice="TensorFlow has estimators no longer; in the graph that the training loop is in, "
        "call hub.register_module_for_export(module, name), then each time "
        "hub.LatestModuleExporter(export_path, checkpoint_dir=..., "
        'layout="timestamp/name").export()',
    )
