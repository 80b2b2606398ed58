"""``hub-keras-bridge check-signatures``: whether a module follows a common signature."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import TYPE_CHECKING

from hub_keras_bridge.cli.options import add_handle, add_json, add_signature, add_tags
from hub_keras_bridge.cli.startup import start_tensorflow
from hub_keras_bridge.errors.redaction import redact
from hub_keras_bridge.files.fetch.resolve import check_handle

if TYPE_CHECKING:
    from hub_keras_bridge.publishing.common_signatures import Report

# Those of common_signatures, which needs TensorFlow.
_KINDS = ("text-embedding", "image-feature-vector", "image-classification")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Defines the command's arguments."""
    add_handle(parser)
    parser.add_argument(
        "--kind", required=True, choices=_KINDS, help="what the module claims to be"
    )
    add_signature(parser, "check", default="the one that modules of this kind have")
    add_tags(parser, "check")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command; the status is 0 if the module follows, else 1."""
    check_handle(args.handle)
    start_tensorflow()
    from hub_keras_bridge.facts.reading import load_module_spec
    from hub_keras_bridge.publishing.common_signatures import check_common_signature

    spec = load_module_spec(args.handle)
    report = check_common_signature(spec, args.kind, signature=args.signature, tags=args.tags or ())
    name = redact(args.handle)
    print(_as_json(name, report) if args.json else _as_text(name, report))
    return 0 if report.follows else 1


def _as_json(handle: str, report: Report) -> str:
    facts = {"handle": handle, "follows": report.follows, **dataclasses.asdict(report)}
    return json.dumps(facts, indent=2)


def _as_text(handle: str, report: Report) -> str:
    if report.follows:
        return f"{handle}: follows {report.kind} with its signature {report.signature!r}"
    lines = [f"{handle}: does not follow {report.kind}", *map(str, report.findings)]
    return "\n  ".join(lines)
