"""``hub-keras-bridge resolve``: from a handle to a local folder."""

from __future__ import annotations

import argparse
import json
import os
import sys

from hub_keras_bridge.cli.options import add_handle, add_json
from hub_keras_bridge.errors.redaction import redact
from hub_keras_bridge.files.fetch.resolve import resolve


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Defines the command's arguments."""
    add_handle(parser)
    parser.add_argument(
        "--sha256", metavar="HEX", help="refuse an archive of the module with another checksum"
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    path = resolve(args.handle, sha256=args.sha256)
    if args.json:
        print(json.dumps({"handle": redact(args.handle), "path": path}, indent=2))
    else:
        # As the operating system has it: a path need not be text.
        sys.stdout.buffer.write(os.fsencode(path) + os.linesep.encode())
        sys.stdout.flush()
    return 0
