"""``hub-keras-bridge check-signatures``: whether a module follows a common signature."""

from __future__ import annotations

import argparse
import dataclasses
import json

from hub_keras_bridge.common_signatures import KINDS, Report, check_common_signature
from hub_keras_bridge.spec import load_module_spec


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Defines the command's arguments."""
    parser.add_argument("handle", metavar="HANDLE", help="the module, e.g. the path of its folder")
    parser.add_argument(
        "--kind", required=True, choices=list(KINDS), help="what the module claims to be"
    )
    parser.add_argument(
        "--signature",
        metavar="NAME",
        help="the signature to check (default: the one that modules of this kind have)",
    )
    parser.add_argument(
        "--tags",
        nargs="+",
        default=[],
        metavar="TAG",
        help="the variant to check (default: the one without tags)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Runs the command; the status is 0 if the module follows, else 1."""
    spec = load_module_spec(args.handle)
    report = check_common_signature(spec, args.kind, signature=args.signature, tags=args.tags)
    print(_as_json(args.handle, report) if args.json else _as_text(args.handle, report))
    return 0 if report.follows else 1


def _as_json(handle: str, report: Report) -> str:
    facts = {"handle": handle, "follows": report.follows, **dataclasses.asdict(report)}
    return json.dumps(facts, indent=2)


def _as_text(handle: str, report: Report) -> str:
    if report.follows:
        return f"{handle}: follows {report.kind} with its signature {report.signature!r}"
    lines = [f"{handle}: does not follow {report.kind}", *map(str, report.findings)]
    return "\n  ".join(lines)
