"""``hub-keras-bridge convert``: a module as something else."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hub_keras_bridge.cli.options import add_handle, add_signature, add_tags, add_unsafe
from hub_keras_bridge.cli.startup import start_tensorflow, without_startup_messages
from hub_keras_bridge.errors.words import legible
from hub_keras_bridge.tools.convert.file_kinds import ENGINE_FILES
from hub_keras_bridge.tools.convert.preflight import check_conversion

if TYPE_CHECKING:
    from hub_keras_bridge.tools.convert.engine_file import EngineFile

_KINDS = {
    "savedmodel": "a TF2 SavedModel: for TensorFlow Serving, and to be fine-tuned",
    "keras": "a .keras file of a Keras 3 model around the module",
    "tflite": "a TensorFlow Lite model of one signature",
    "onnx": "an .onnx file of one signature, for ONNX Runtime and others (extra [onnx])",
    "openvino": "an .xml and a .bin file of one signature, for OpenVINO (extra [openvino])",
    "hub": "a TF1 Hub module's folder; HANDLE may also be a .keras file with a module in it",
}
_FOR_ENGINES = "with --to onnx or openvino"


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
    parser.add_argument(
        "--output-key",
        metavar="NAME",
        action="append",
        help=f"{_FOR_ENGINES}: an output to have, or an inner tensor as inspect --nodes names it; "
        "may be repeated (default: all outputs)",
    )
    parser.add_argument(
        "--int8",
        action="store_true",
        help="with --to onnx: round the weights of matrix multiplications to 8 bits, and say how "
        "far outputs are off by it",
    )
    add_tags(parser, "convert")
    add_unsafe(parser, "convert")


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    handle, signature = args.handle, args.signature
    check_conversion(
        args.to,
        handle,
        args.out,
        signature=signature,
        output_key=args.output_key,
        tags=args.tags,
        int8=args.int8,
    )
    start_tensorflow()
    from hub_keras_bridge.tools.convert.convert import CONVERSIONS

    if args.to != "hub":  # Which keeps them all, and takes Keras models, too.
        handle, signature = _source(handle, signature, args)
    options: dict[str, Any] = {"output_key": args.output_key} if args.output_key else {}
    if args.int8:
        options["int8"] = True
    made = CONVERSIONS[args.to](
        handle,
        args.out,
        signature=signature,
        tags=args.tags,
        safe_mode=not args.unsafe,
        trusted_ops=args.trust,
        **options,
    )
    print(f"{args.to}: {args.out}")
    if args.to == "tflite" and made:
        print(f"  needs select TF ops: {', '.join(made)}")
        _tell_whether_it_runs_here(args.out)
    if args.to in ENGINE_FILES:
        for line in _lines(made, int8=args.int8):
            print(f"  {legible(line)}")
    return 0


def _tell_whether_it_runs_here(path: str) -> None:
    import tensorflow as tf

    from hub_keras_bridge.tools.convert.tflite import runs_here

    with without_startup_messages():
        runs = runs_here(path)
    if not runs:
        print(f"  the interpreter of TensorFlow {tf.__version__} in Python (tf.lite.Interpreter)")
        print("  lacks them, and cannot run the file: one with the flex delegate can")


def _source(handle: str, signature: str | None, args: argparse.Namespace) -> tuple[Any, str | None]:
    """What is read of a handle once, and the signature that is meant."""
    from hub_keras_bridge.cli.only_signature import only_signature
    from hub_keras_bridge.facts.reading import load_module_spec
    from hub_keras_bridge.files.fetch.resolve import resolve
    from hub_keras_bridge.files.module_folder import is_saved_model

    if args.to in ENGINE_FILES and is_saved_model(resolve(handle)):
        return handle, signature
    spec = load_module_spec(handle)
    return spec, signature or only_signature(spec, args)


def _lines(made: EngineFile, *, int8: bool) -> Iterator[str]:
    """What is in a file of an engine."""
    from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo

    for word, ports in ("input", made.inputs), ("output", made.outputs):
        for name, spec in ports.items():
            yield f"{word} {name}: {ParsedTensorInfo.from_type_spec(spec)}"
    for name in made.unread:
        yield f"without input {name}, which no output needs"
    rounded = "with weights of 8 bits, outputs differ" if int8 else "outputs differ"
    yield f"{rounded} from TensorFlow's by {made.difference:.2g} of the largest number"
