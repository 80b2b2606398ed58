"""``hub-keras-bridge audit``: what a module may touch outside itself."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hub_keras_bridge.cli.options import add_handle, add_json
from hub_keras_bridge.cli.startup import start_tensorflow
from hub_keras_bridge.errors.redaction import redact
from hub_keras_bridge.errors.words import legible, set_of, show_tags
from hub_keras_bridge.files.fetch.resolve import check_handle

if TYPE_CHECKING:
    from hub_keras_bridge.plans.audit import Audit, MissingOp
    from hub_keras_bridge.plans.findings import Finding

_MISSING_HEADINGS = ("op", "package", "variant", "needed by")
_HEADINGS = ("kind", "op", "node", "in function", "variant", "needed by")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Defines the command's arguments."""
    parser.epilog = (
        "The status is 0 if safe mode takes the module, and 1 if it refuses it or the module "
        "cannot be read. --json tells these two apart: by the key safe, or the key error."
    )
    add_handle(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command; the status is 0 if safe mode takes the module, else 1."""
    check_handle(args.handle)
    start_tensorflow()
    from hub_keras_bridge.facts.reading import load_module_spec
    from hub_keras_bridge.plans.audit import audit_module

    audit = audit_module(load_module_spec(args.handle))
    name = redact(args.handle)
    print(_as_json(name, audit) if args.json else _as_text(name, audit))
    return 0 if audit.is_safe else 1


def _as_json(handle: str, audit: Audit) -> str:
    verdict = {"safe": audit.is_safe, "refused_ops": sorted(audit.refused_ops)}
    return json.dumps({"handle": handle, **verdict, **dataclasses.asdict(audit)}, indent=2)


def _as_text(handle: str, audit: Audit) -> str:
    lines = [f"{legible(handle)}: {_verdict(audit)}"]
    if audit.findings:
        # What safe mode refuses comes first.
        ordered = sorted(audit.findings, key=lambda finding: not finding.needed_by)
        lines += ["", *_columns([_HEADINGS, *map(_row, ordered)])]
    if audit.refused_ops:
        lines += ["", f"To trust it with these alone: trusted_ops={set_of(audit.refused_ops)}"]
    if audit.missing:
        lines += ["", "Not registered here; import the package first:", ""]
        lines += _columns([_MISSING_HEADINGS, *map(_missing_row, audit.missing)])
    return "\n".join(lines)


def _verdict(audit: Audit) -> str:
    if not audit.is_safe:
        return "safe mode refuses it, since it may reach outside itself"
    if audit.findings:
        return "safe mode takes it; what may reach outside is never run"
    return "safe mode takes it; nothing in it reaches outside"


def _row(finding: Finding) -> tuple[str, ...]:
    return (
        finding.kind.value,
        legible(finding.op),
        legible(finding.node),
        legible(finding.function or "-"),
        *_where(finding),
    )


def _missing_row(missing: MissingOp) -> tuple[str, ...]:
    return (legible(missing.op), missing.package or "not known", *_where(missing))


def _where(found: Finding | MissingOp) -> tuple[str, str]:
    needed_by = ", ".join(map(repr, found.needed_by)) or "not run"
    return legible(show_tags(found.tags)), needed_by


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = [[cell.ljust(w) for cell, w in zip(row, widths, strict=True)] for row in rows]
    return ["  ".join(row).rstrip() for row in padded]
