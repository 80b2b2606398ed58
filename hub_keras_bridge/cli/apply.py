"""``hub-keras-bridge apply``: a module over a file of examples."""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from hub_keras_bridge.cli.options import add_handle, add_signature, add_tags, add_unsafe, positive
from hub_keras_bridge.cli.startup import start_tensorflow
from hub_keras_bridge.cli.verbosity import progress_console, remark
from hub_keras_bridge.files.fetch.resolve import check_handle
from hub_keras_bridge.files.progress import file_bar
from hub_keras_bridge.running.engines.packages import need_built_in
from hub_keras_bridge.tools.apply.formats import INPUT_FORMATS, OUTPUT_FORMATS, STANDARD, show_ends
from hub_keras_bridge.tools.apply.preflight import formats_of

_ONE_MACHINE = """\
memory does not grow with the file; the output appears when it is complete.

Beyond one machine, in an Apache Beam pipeline (extra [beam]):
  from apache_beam.ml.inference.base import RunInference
  from hub_keras_bridge.beam import HubModelHandler
  vectors = examples | RunInference(HubModelHandler(HANDLE))
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Defines the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _ONE_MACHINE
    add_handle(parser)
    parser.add_argument(
        "--input",
        required=True,
        type=os.path.expanduser,
        metavar="F",
        help=f"the examples, in a file named {show_ends(INPUT_FORMATS)} (or that and .gz): lines "
        "of text; CSV with a column per input, or x[0], x[1]... for rows of numbers; JSON "
        "objects, one per line, with the inputs by name; arrays. - is standard input",
    )
    parser.add_argument(
        "--output",
        required=True,
        type=os.path.expanduser,
        metavar="F",
        help=f"the file to make, named {show_ends(OUTPUT_FORMATS)} (extra [parquet]); - is "
        "standard output, for JSON lines",
    )
    add_signature(parser, "run")
    parser.add_argument(
        "--output-key",
        metavar="NAME",
        action="append",
        help="an output to write, or an inner tensor as inspect --nodes names it; may be repeated "
        "(default: all outputs, but default for .npy)",
    )
    add_tags(parser, "run")
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        type=_setting,
        action="append",
        default=[],
        help="an input that is the same for all examples, as JSON or else as a string; may be "
        "repeated",
    )
    parser.add_argument(
        "--batch-size",
        type=positive,
        metavar="N",
        help="examples per batch (default: 64, or what the signature fixes)",
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="only the first N examples")
    parser.add_argument(
        "--input-format",
        choices=list(dict.fromkeys(INPUT_FORMATS.values())),
        help="what the input is, whatever its name",
    )
    parser.add_argument(
        "--output-format",
        choices=list(dict.fromkeys(OUTPUT_FORMATS.values())),
        help="what the output is to be, whatever its name",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the output file")
    parser.add_argument(
        "--engine",
        metavar="NAME",
        default="tensorflow",
        help="what runs the module: tensorflow (the default), xla, onnxruntime (extra [onnx]), "
        "openvino (extra [openvino]), or auto, the fastest of them on the first batch; engines "
        "but tensorflow take seconds to get ready",
    )
    parser.add_argument(
        "--keep",
        type=os.path.expanduser,
        metavar="DIR",
        help="keep what was made ready for an engine in this folder, for the next run",
    )
    add_unsafe(parser, "run")


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    formats_of(
        args.input,
        args.output,
        reads=args.input_format,
        writes=args.output_format,
        overwrite=args.overwrite,
    )
    check_handle(args.handle)
    need_built_in(args.engine, args.handle)
    start_tensorflow()
    from hub_keras_bridge.cli.only_signature import only_signature
    from hub_keras_bridge.facts.reading import load_module_spec
    from hub_keras_bridge.tools.apply.apply import apply_to_file

    spec = load_module_spec(args.handle)
    signature = args.signature or only_signature(spec, args)
    with file_bar("Applying", args.input, progress_console(args)) as progress:
        applied = apply_to_file(
            spec,
            args.input,
            args.output,
            signature=signature,
            output_key=args.output_key,
            tags=args.tags,
            batch_size=args.batch_size,
            fixed=dict(args.set),
            input_format=args.input_format,
            output_format=args.output_format,
            limit=args.limit,
            overwrite=args.overwrite,
            engine=args.engine,
            keep=args.keep,
            safe_mode=not args.unsafe,
            trusted_ops=args.trust,
            progress=progress,
        )
    by = "" if args.engine == "tensorflow" else f", by {' and '.join(applied.engines)}"
    told = f"{applied.rows} rows of {', '.join(applied.outputs)}{by}"
    if args.output == STANDARD:
        remark(args, told)
    else:
        print(f"{args.output}: {told}")
    return 0


def _setting(text: str) -> tuple[str, Any]:
    """A name and its value.

    >>> _setting("rate=0.5"), _setting("mode=fast")
    (('rate', 0.5), ('mode', 'fast'))
    """
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
