"""An error as the command line tells it: one line, with options where Python has arguments."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hub_keras_bridge.errors import HubError
from hub_keras_bridge.errors.words import legible

# Arguments whose option has another name.
_OPTION_NAMES = {"safe_mode": "unsafe", "fixed": "set", "trusted_ops": "trust"}
_ARGUMENT = re.compile(
    r"\b(?P<name>[a-z][a-z0-9_]*)(?P<value>="
    r"(?:\.\.\.|True\b|False\b|'(?P<text>[^' ]*)'|\{(?P<names>'[^{}:]*')\}))?"
)


def error_line(error: HubError, options: Iterable[str] = ()) -> str:
    """The parts of an error's message as sentences on one line.

    Args:
        error: what went wrong.
        options: names of the command's options, as argparse keeps them.

    >>> from hub_keras_bridge.errors import Subject
    >>> error = HubError(
    ...     "There is no signature 'default'.",
    ...     Subject("/embed"),
    ...     expected="one of 'tokens'",
    ...     found="'default'",
    ...     advice="pass signature=... with a name from this list",
    ... )
    >>> print(error_line(error, ["signature"]))
    There is no signature 'default'. In module '/embed': expected one of 'tokens'; found 'default'.
    What to do: pass --signature with a name from this list.
    """
    pairs = (("expected", error.expected), ("found", error.found))
    seen = [f"{verb} {text}" for verb, text in pairs if text]
    where = f"in {error.subject}" if str(error.subject) else ""
    facts = ": ".join(part for part in (where, "; ".join(seen)) if part)
    advice = f"What to do: {_with_options(error.advice, options)}" if error.advice else ""
    sentences = (error.problem, facts[:1].upper() + facts[1:], advice)
    return " ".join(map(_sentence, filter(None, sentences)))


def _sentence(text: str) -> str:
    # It quotes names out of the module, which a terminal might obey.
    line = legible(" ".join(text.split()))
    return line if line.endswith((".", "?")) else f"{line}."


def _with_options(advice: str, options: Iterable[str]) -> str:
    """Advice with the command's options for the arguments that they stand for.

    >>> _with_options("for all kinds, pass kind=... or leave out as_dict and output_key",
    ...     ["kind", "output_key"])
    'for all kinds, pass --kind or leave out as_dict and --output-key'
    >>> _with_options("pass trusted_ops={'ReadFile', 'PyFunc'}", ["trust"])
    'pass --trust ReadFile --trust PyFunc'
    >>> _with_options("TensorFlow can: engine='tensorflow'", ["engine"])
    'TensorFlow can: --engine tensorflow'
    """
    known = set(options)

    def translated(match: re.Match[str]) -> str:
        name = match["name"]
        option = _OPTION_NAMES.get(name, name)
        # Without a value, a word of English may have the same letters.
        is_argument = match["value"] or not name.isalpha()
        if not is_argument or option not in known:
            return match[0]
        flag = f"--{option.replace('_', '-')}"
        if match["text"]:
            return f"{flag} {match['text']}"
        several = [each.strip(" '") for each in (match["names"] or "").split(",")]
        return " ".join(f"{flag} {each}".rstrip() for each in several)

    return _ARGUMENT.sub(translated, advice)
