"""Programs for shells that complete words; where none fits, the shell offers files."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Sequence

from hub_keras_bridge.cli.completion_words import Option, Place

# A remark beside a word: a line, and no longer than a terminal has room for.
_LONGEST_HELP = 60


def bash(program: str, places: Sequence[Place]) -> str:
    """For bash 3.2 and later."""
    function = f"_{re.sub('[^a-z]', '_', program)}"
    lines = [
        f"{function}() {{",
        '  local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}"',
        '  local at="" words="" i',
        '  [[ $cur == "=" ]] && cur=""',
        '  [[ $prev == "=" ]] && prev="${COMP_WORDS[COMP_CWORD-2]}"',
        "  for ((i = 1; i < COMP_CWORD; i++)); do",
        *_walk(places, '"$at ${COMP_WORDS[i]}"', '"${at:+$at }${COMP_WORDS[i]}"'),
        "  done",
        "  COMPREPLY=()",
        '  case "$at $prev" in',
        *_values(places, lambda them: f'COMPREPLY=($(compgen -W {shlex.quote(them)} -- "$cur"))'),
        "  esac",
        '  case "$at" in',
    ]
    for place in places:
        names, options = " ".join(place.names), " ".join(_option_names(place))
        chosen = f"words={shlex.quote(names)}; [[ $cur == -* ]] && words={shlex.quote(options)}"
        lines.append(f"    {shlex.quote(' '.join(place.path))}) {chosen} ;;")
    lines += [
        "  esac",
        '  COMPREPLY=($(compgen -W "$words" -- "$cur"))',
        "}",
        f"complete -o default -F {function} {program}",
    ]
    return "\n".join(lines) + "\n"


def zsh(program: str, places: Sequence[Place]) -> str:
    """For zsh; words are shown with what they mean."""
    function = f"_{re.sub('[^a-z]', '_', program)}"
    lines = [
        f"#compdef {program}",
        f"{function}() {{",
        '  local at="" word prev="${words[CURRENT-1]}"',
        "  local -a described",
        "  for word in ${words[2,CURRENT-1]}; do",
        *_walk(places, '"$at $word"', '"${at:+$at }$word"'),
        "  done",
        '  case "$at $prev" in',
        *_values(places, lambda them: f"compadd -- {them}", takes="_files"),
        "  esac",
        '  case "$at" in',
    ]
    for place in places:
        names = [f"{name}:{_short(text)}" for name, text in place.names.items()]
        options = [f"{n}:{_short(option.help)}" for option in place.options for n in option.names]
        chosen = (
            f"described=({_quoted(names)}); [[ $PREFIX == -* ]] && described=({_quoted(options)})"
        )
        lines.append(f"    {shlex.quote(' '.join(place.path))}) {chosen} ;;")
    lines += [
        "  esac",
        "  if (( $#described )); then _describe word described; else _files; fi",
        "}",
        f"compdef {function} {program}",
    ]
    return "\n".join(lines) + "\n"


def fish(program: str, places: Sequence[Place]) -> str:
    """For fish; words are shown with what they mean."""
    lines = []
    for place in places:
        inner = " ".join(place.names)
        conditions = [f"__fish_seen_subcommand_from {name}" for name in place.path]
        if not place.path:
            conditions = ["__fish_use_subcommand"]
        elif inner:
            conditions.append(f"not __fish_seen_subcommand_from {inner}")
        where = f"complete -c {program} -n {shlex.quote('; and '.join(conditions))}"
        for name, text in place.names.items():
            lines.append(f"{where} -f -a {name} -d {shlex.quote(_short(text))}")
        lines += [f"{where} {_fish_option(option)}" for option in place.options]
    return "\n".join(lines) + "\n"


SCRIPTS: dict[str, Callable[[str, Sequence[Place]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}


def _walk(places: Sequence[Place], met: str, then: str) -> Iterator[str]:
    """Lines that follow the names of commands and actions into a place."""
    paths = [place.path for place in places if place.path]
    pattern = "|".join(shlex.quote(f"{' '.join(path[:-1])} {path[-1]}") for path in paths)
    yield f"    case {met} in {pattern}) at={then} ;; esac"


def _values(
    places: Sequence[Place], choose: Callable[[str], str], takes: str = ""
) -> Iterator[str]:
    """Lines that offer what can follow an option."""
    for place in places:
        for option in (option for option in place.options if option.takes):
            at = "|".join(shlex.quote(f"{' '.join(place.path)} {name}") for name in option.names)
            offer = choose(" ".join(option.choices)) if option.choices else takes
            yield f"    {at}) {offer + '; ' if offer else ''}return ;;"


def _fish_option(option: Option) -> str:
    flags = [f"-l {n[2:]}" if n.startswith("--") else f"-s {n[1:]}" for n in option.names]
    if option.choices:
        flags.append(f"-x -a {shlex.quote(' '.join(option.choices))}")
    elif option.takes:
        flags.append("-r -F")
    return f"{' '.join(flags)} -d {shlex.quote(_short(option.help))}"


def _option_names(place: Place) -> list[str]:
    return [name for option in place.options for name in option.names]


def _quoted(texts: Sequence[str]) -> str:
    return " ".join(map(shlex.quote, texts))


def _short(text: str) -> str:
    """The first clause of a help, without what zsh or argparse would read something into."""
    clause = re.split(r"[;(]|: ", text)[0].replace("%%", "%").replace(":", " ").strip()
    return clause if len(clause) <= _LONGEST_HELP else f"{clause[: _LONGEST_HELP - 1].rstrip()}…"
