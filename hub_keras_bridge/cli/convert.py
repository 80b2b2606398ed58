"""``hub-keras-bridge convert``: a module as something else."""

from __future__ import annotations

import argparse
import os

from hub_keras_bridge.cli.options import add_handle, add_signature, add_tags, add_unsafe
from hub_keras_bridge.cli.startup import start_tensorflow
from hub_keras_bridge.tools.convert.preflight import check_conversion

_KINDS = {
    "savedmodel": "a TF2 SavedModel: for TensorFlow Serving, and to be fine-tuned",
    "keras": "a .keras file of a Keras 3 model around the module",
    "tflite": "a TensorFlow Lite model of one signature",
    "hub": "a TF1 Hub module's folder; HANDLE may also be a .keras file with a module in it",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Defines the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "OUT by --to:\n" + "\n".join(f"  {k:<11} {v}" for k, v in _KINDS.items())
    add_handle(parser)
    parser.add_argument(
        "out", metavar="OUT", type=os.path.expanduser, help="what to make; it must not exist"
    )
    parser.add_argument("--to", required=True, choices=list(_KINDS), help="what to make of it")
    add_signature(parser, "run")
    add_tags(parser, "convert")
    add_unsafe(parser, "convert")


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    handle, signature = args.handle, args.signature
    check_conversion(args.to, handle, args.out, signature=signature, tags=args.tags)
    start_tensorflow()
    from hub_keras_bridge.cli.only_signature import only_signature
    from hub_keras_bridge.facts.reading import load_module_spec
    from hub_keras_bridge.tools.convert.convert import CONVERSIONS

    if args.to != "hub":  # Which keeps them all, and takes Keras models, too.
        handle = load_module_spec(handle)
        signature = signature or only_signature(handle, args.tags)
    from_tensorflow = CONVERSIONS[args.to](
        handle,
        args.out,
        signature=signature,
        tags=args.tags,
        safe_mode=not args.unsafe,
        trusted_ops=args.trust,
    )
    print(f"{args.to}: {args.out}")
    if from_tensorflow:
        print(f"  needs select TF ops: {', '.join(from_tensorflow)}")
    return 0
