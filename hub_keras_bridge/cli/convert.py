"""``hub-keras-bridge convert``: a module as something else."""

from __future__ import annotations

import argparse

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
    parser.add_argument("handle", metavar="HANDLE", help="the module, e.g. the path of its folder")
    parser.add_argument("out", metavar="OUT", help="what to make; it must not exist")
    parser.add_argument("--to", required=True, choices=list(_KINDS), help="what to make of it")
    parser.add_argument(
        "--signature", metavar="NAME", help="the signature that runs (default: default)"
    )
    parser.add_argument(
        "--tags",
        metavar="TAG",
        action="append",
        help="a tag of the variant to convert; may be repeated (default: none)",
    )
    parser.add_argument(
        "--unsafe",
        action="store_true",
        help="convert also a module that reaches outside its own graph",
    )


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from hub_keras_bridge.convert import CONVERSIONS

    from_tensorflow = CONVERSIONS[args.to](
        args.handle,
        args.out,
        signature=args.signature,
        tags=args.tags,
        safe_mode=not args.unsafe,
    )
    print(f"{args.to}: {args.out}")
    if from_tensorflow:
        print(f"  needs select TF ops: {', '.join(from_tensorflow)}")
    return 0
