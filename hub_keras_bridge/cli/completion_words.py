"""The words of a command line that can be completed, read from its parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Option:
    """An option.

    Attributes:
        names: ``--input``, or ``-q`` and ``--quiet``.
        help: what it does.
        takes: whether a value follows.
        choices: which values; empty for any.
    """

    names: tuple[str, ...]
    help: str
    takes: bool
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """A place in the command line: behind the program's name, a command's or an action's.

    Attributes:
        path: the names so far.
        names: what may follow -> its help: commands, actions, or choices of an argument.
        options: what may stand there.
    """

    path: tuple[str, ...]
    names: dict[str, str]
    options: tuple[Option, ...]


def words_of(parser: argparse.ArgumentParser) -> list[Place]:
    """All places of a command line, the outer ones first.

    >>> parser = argparse.ArgumentParser(add_help=False)
    >>> _ = parser.add_argument("--to", choices=["onnx", "keras"], help="what to make")
    >>> words_of(parser)[0].options[0].choices
    ('onnx', 'keras')
    """
    return list(_places(parser, ()))


def _places(parser: argparse.ArgumentParser, path: tuple[str, ...]) -> Iterator[Place]:
    names: dict[str, str] = {}
    options, below = [], {}
    for action in parser._actions:  # noqa: SLF001, argparse has no public way to them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            below = action.choices
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}  # noqa: SLF001
            names.update({name: helps.get(name, "") for name in below})
        elif action.option_strings:
            options.append(
                Option(
                    names=tuple(action.option_strings),
                    help=" ".join((action.help or "").split()),
                    takes=action.nargs != 0,
                    choices=tuple(map(str, action.choices or ())),
                )
            )
        else:
            names.update(dict.fromkeys(map(str, action.choices or ()), ""))
    yield Place(path, names, tuple(options))
    for name, inner in below.items():
        yield from _places(inner, (*path, name))
