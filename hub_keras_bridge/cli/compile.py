"""``hub-keras-bridge compile``: which inference engine is fastest for a module here."""

from __future__ import annotations

import argparse
import json
import os

from rich.console import Console

from hub_keras_bridge.cli.options import (
    add_handle,
    add_json,
    add_signature,
    add_tags,
    add_unsafe,
    positive,
)
from hub_keras_bridge.cli.startup import start_tensorflow
from hub_keras_bridge.files.fetch.resolve import check_handle
from hub_keras_bridge.running.engines.packages import need_built_in

_IN_A_PROGRAM = """\
Engines are compared with TensorFlow's numbers first, and timed on inputs that are made
up from the signature. In a program:
  compiled = hub_keras_bridge.compile(HANDLE, keep=FOLDER)
  vectors = compiled(batch)
With the same FOLDER nothing is converted or timed there again.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Defines the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _IN_A_PROGRAM
    add_handle(parser)
    add_signature(parser, "run")
    parser.add_argument(
        "--output-key",
        metavar="NAME",
        action="append",
        help="an output to compute; may be repeated (default: all)",
    )
    add_tags(parser, "run")
    parser.add_argument(
        "--engine",
        metavar="NAME",
        default="auto",
        help="auto for all that are installed, tensorflow, xla, onnxruntime (extra [onnx]) or "
        "openvino (extra [openvino]) (default: auto)",
    )
    parser.add_argument(
        "--batch-size",
        type=positive,
        metavar="N",
        action="append",
        help="a batch size to try; may be repeated (default: 1, 16 and 64)",
    )
    parser.add_argument("--threads", type=positive, metavar="N", help="for one call")
    parser.add_argument(
        "--int8", action="store_true", help="round weights to 8 bits, where the engine can"
    )
    parser.add_argument(
        "--keep",
        metavar="FOLDER",
        type=os.path.expanduser,
        help="keep choice and converted files there, for programs to come",
    )
    add_unsafe(parser, "run")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    check_handle(args.handle)
    need_built_in(args.engine, args.handle)
    start_tensorflow()
    from hub_keras_bridge.cli.only_signature import only_signature
    from hub_keras_bridge.facts.reading import load_module_spec
    from hub_keras_bridge.frontends.compiled.compile import compile
    from hub_keras_bridge.frontends.compiled.examples import BATCH_SIZES

    spec = load_module_spec(args.handle)
    report = compile(
        spec,
        signature=args.signature or only_signature(spec, args),
        output_key=args.output_key,
        as_dict=not args.output_key,
        tags=args.tags,
        engine=args.engine,
        batch_sizes=args.batch_size or BATCH_SIZES,
        threads=args.threads,
        int8=args.int8,
        keep=args.keep,
        safe_mode=not args.unsafe,
        trusted_ops=args.trust,
    ).report()
    if args.json:
        print(json.dumps({"subject": report.subject, **report.to_json()}, indent=2))
    else:
        report.show(Console())
    return 0
