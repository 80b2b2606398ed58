"""``hub-keras-bridge pack``: from a module's folder to a tar.gz file."""

from __future__ import annotations

import argparse
import json
import os

from hub_keras_bridge.cli.options import add_json
from hub_keras_bridge.errors import ExportError, Subject
from hub_keras_bridge.files.archive import pack
from hub_keras_bridge.files.fetch.archived import sha256_of

_ENDS = (".tar.gz", ".tgz")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Defines the command's arguments."""
    parser.add_argument("folder", metavar="DIR", help="the module's folder")
    parser.add_argument("file", metavar="FILE.tar.gz", help="the file to write; it must not exist")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    _require_name(args.file, args.folder)
    pack(args.folder, args.file)
    facts = {
        "path": os.path.abspath(args.file),
        "bytes": os.path.getsize(args.file),
        "sha256": sha256_of(args.file),
    }
    if args.json:
        print(json.dumps(facts, indent=2))
    else:
        print(f"{facts['path']}\n  {facts['bytes']} bytes\n  sha256 {facts['sha256']}")
    return 0


def _require_name(file: str, folder: str) -> None:
    """A name that says what is in it: by another one, programs would not know how to open it."""
    if not file.endswith(_ENDS):
        raise ExportError(
            "Cannot pack a TF1 Hub module.",
            Subject(folder),
            expected=f"a file name that ends in {' or '.join(_ENDS)}",
            found=repr(file),
            advice="name it so; a module is hosted as a tar.gz file, and handles lead to no other",
        )
