"""``hub-keras-bridge publish-text-embedding``: from a file of embeddings to a module."""

from __future__ import annotations

import argparse
import os

from hub_keras_bridge.cli.startup import start_tensorflow
from hub_keras_bridge.cli.verbosity import progress_console
from hub_keras_bridge.errors import Subject
from hub_keras_bridge.files.progress import file_bar
from hub_keras_bridge.files.targets import require_no_module, require_target_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Defines the command's arguments."""
    parser.add_argument(
        "--embedding-file",
        required=True,
        type=os.path.expanduser,
        metavar="F",
        help="a token and its numbers per line, separated by spaces (GloVe's or word2vec's text "
        "format); F.gz is unpacked",
    )
    parser.add_argument(
        "--export-path",
        required=True,
        type=os.path.expanduser,
        metavar="P",
        help="the folder to make for the module",
    )
    parser.add_argument(
        "--num-oov-buckets",
        type=int,
        default=1,
        metavar="N",
        help="rows of zeros that unknown tokens share by their hash, to be trained; with 0, "
        "unknown tokens are left out (default: %(default)s)",
    )
    parser.add_argument(
        "--preprocess-text",
        action="store_true",
        help="let the module remove punctuation before it splits sentences on spaces",
    )


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    subject = Subject(args.embedding_file)
    require_no_module(args.export_path, subject)
    require_target_folder(args.export_path, subject)
    start_tensorflow()
    from hub_keras_bridge.publishing.text_embedding import publish_text_embedding

    with file_bar(
        "Checking and publishing", args.embedding_file, progress_console(args), times=2
    ) as progress:
        embedding = publish_text_embedding(
            args.embedding_file,
            args.export_path,
            num_oov_buckets=args.num_oov_buckets,
            preprocess_text=args.preprocess_text,
            progress=progress,
        )
    print(f"TF1 Hub module: {args.export_path}")
    print(f"  {embedding.tokens} tokens, {embedding.dim} numbers each")
    return 0
