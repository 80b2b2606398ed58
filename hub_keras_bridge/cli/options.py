"""Arguments that several commands have, told alike by all of them."""

from __future__ import annotations

import argparse


def add_handle(parser: argparse.ArgumentParser) -> None:
    """Adds HANDLE: which module."""
    parser.add_argument(
        "handle",
        metavar="HANDLE",
        help="the module: a folder, a .tar.gz file, a URL or a Kaggle handle",
    )


def add_signature(
    parser: argparse.ArgumentParser,
    what: str,
    default: str = "the one named default, else the only one",
) -> None:
    """Adds ``--signature``: what is done with it, and with which one if none is named."""
    parser.add_argument(
        "--signature", metavar="NAME", help=f"the signature to {what} (default: {default})"
    )


def add_tags(parser: argparse.ArgumentParser, what: str) -> None:
    """Adds ``--tags``: those of the variant, and what is done with it."""
    parser.add_argument(
        "--tags",
        metavar="TAG",
        action="append",
        help=f"a tag of the variant to {what}; may be repeated (default: the one without tags)",
    )


def add_unsafe(parser: argparse.ArgumentParser, what: str) -> None:
    """Adds ``--unsafe`` and ``--trust``: do it also where safe mode would refuse."""
    parser.add_argument(
        "--unsafe",
        action="store_true",
        help=f"{what} also a module that reaches outside its own graph (files, network, Python)",
    )
    parser.add_argument(
        "--trust",
        metavar="OP",
        action="append",
        default=[],
        help=f"{what} also a module that reaches outside by this op, as audit names it; may be "
        "repeated",
    )


def positive(text: str) -> int:
    """The number in an argument, which is to be 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not 1 or more")
    return number


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds ``--json``: for programs."""
    parser.add_argument(
        "--json",
        action="store_true",
        help="print the result as JSON; in its place, an error is an object with the key error",
    )
