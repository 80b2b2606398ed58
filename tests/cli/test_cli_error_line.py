"""An error on one line."""

import pytest

from hub_keras_bridge.cli.error_line import error_line
from hub_keras_bridge.errors import HubError, Subject


def line(advice="look again", options=(), **parts):
    return error_line(HubError("It failed.", advice=advice, **parts), options)


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({}, ""),
        ({"found": "a cat"}, "Found a cat. "),
        ({"expected": "a dog", "found": "a cat"}, "Expected a dog; found a cat. "),
        ({"subject": Subject("/m")}, "In module '/m'. "),
        (
            {"subject": Subject("/m", ()), "found": "a cat"},
            "In module '/m', tags {}: found a cat. ",
        ),
    ],
)
def test_parts(parts, told):
    assert line(**parts) == f"It failed. {told}What to do: look again."


def test_without_advice():
    assert line(advice=None) == "It failed."


def test_question_keeps_its_mark():
    assert line("did you mean /m?") == "It failed. What to do: did you mean /m?"


def test_lines_of_others_become_one():
    assert line(found="this\n  and that\n").startswith("It failed. Found this and that. ")


@pytest.mark.parametrize(
    ("advice", "told"),
    [
        ("pass signature=... or tags=... of it", "pass --signature or --tags of it"),
        ("pass safe_mode=False", "pass --unsafe"),
        ("pass overwrite=True", "pass --overwrite"),
        ("give it by fixed={'rate': 1}", "give it by fixed={'rate': 1}"),
        (
            "choose a signature, or leave out output_key",
            "choose a signature, or leave out --output-key",
        ),
        ("see checkpoint_path=... there", "see checkpoint_path=... there"),
    ],
)
def test_arguments_become_options(advice, told):
    options = ["signature", "tags", "unsafe", "overwrite", "set", "output_key"]
    assert line(advice, options) == f"It failed. What to do: {told}."
    assert line(advice) == f"It failed. What to do: {advice}."
