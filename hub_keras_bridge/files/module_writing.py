"""Writes a module directory: the whole of it, or nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import tensorflow as tf

from hub_keras_bridge.compat import tf_errors
from hub_keras_bridge.errors import ExportError, Subject
from hub_keras_bridge.files import durable, layout
from hub_keras_bridge.files.exporting import new_directory, telling_of_export
from hub_keras_bridge.files.module_folder import ModuleFiles
from hub_keras_bridge.files.targets import local_target, require_no_module
from hub_keras_bridge.files.unfinished import unfinished


def write_module(
    path: str,
    files: ModuleFiles,
    write_variables: Callable[[str], None] | None,
) -> None:
    """Writes a TF1 Hub module, atomically where its folder is new or empty.

    A folder that has other files gets it file by file, and last of them the one
    that makes it a module.

    Args:
        path: the directory to make; it may exist, without any file of a module.
        files: graphs and assets; its checkpoint is not used.
        write_variables: writes a checkpoint at the prefix it is given; None for
            a module without variables.

    Raises:
        ExportError: the target is taken, or writing failed; nothing is left.
    """
    subject = Subject(files.name)
    with _module_directory(path, subject) as folder:
        write_graphs(folder, files)
        if write_variables is not None:
            prefix = os.path.join(folder, layout.VARIABLES_PREFIX)
            os.makedirs(os.path.dirname(prefix))
            write_variables(prefix)


def write_graphs(folder: str, files: ModuleFiles) -> None:
    """Writes all of a module but its variables into an existing folder."""
    with open(os.path.join(folder, layout.MODULE_FILE), "wb") as stream:
        stream.write(layout.module_def_bytes())
    with open(os.path.join(folder, layout.SAVED_MODEL_FILE), "wb") as stream:
        stream.write(files.saved_model.SerializeToString(deterministic=True))
    copy_assets(files.assets, os.path.join(folder, layout.ASSETS_FOLDER))


def copy_assets(assets: Mapping[str, str], folder: str) -> None:
    """Copies asset files by name into a folder, which is made if need be."""
    for name, source in assets.items():
        target = os.path.join(folder, *name.split("/"))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        try:
            tf.io.gfile.copy(source, target)
        except tf.errors.NotFoundError as error:
            raise ExportError(
                f"Cannot write a TF1 Hub module: its asset {name!r} is missing.",
                expected=f"the file {source}",
                found="no such file",
                advice="put the file there; of a module that was loaded, put the folder back",
            ) from error


@contextmanager
def _module_directory(path: str, subject: Subject) -> Iterator[str]:
    """As ``new_directory``, into a folder that may have files that are no module's."""
    path = os.path.abspath(local_target(path, subject))
    require_no_module(path, subject, kind=tf_errors.ExportError)
    if not os.path.isdir(path) or not os.listdir(path):
        with new_directory(path, subject) as folder:
            yield folder
        return
    # Within it, on the same file system.
    with (
        telling_of_export(path, subject, "Cannot write a TF1 Hub module."),
        unfinished(os.path.join(path, "module")) as folder,
    ):
        yield folder
        _move_files(folder, path, subject)


def _move_files(source: str, target: str, subject: Subject) -> None:
    """Moves the files of a module to another folder, or none of them."""
    names = [
        os.path.relpath(os.path.join(folder, file), source)
        for folder, _, files in os.walk(source)
        for file in files
    ]
    names.sort(key=lambda name: name == layout.MODULE_FILE)
    require_no_module(target, subject, names, tf_errors.ExportError)
    moved: list[str] = []
    try:
        for name in names:
            durable.make_folders(os.path.dirname(os.path.join(target, name)))
            durable.move(os.path.join(source, name), os.path.join(target, name))
            moved.append(name)
    except BaseException:
        for name in moved:
            with suppress(OSError):
                os.remove(os.path.join(target, name))
        raise
