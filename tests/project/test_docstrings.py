"""Docstrings: public ones have an example, and all speak of what there is."""

import ast
import builtins
import doctest
import functools
import importlib
import inspect
import pathlib
import re

import pytest

import hub_keras_bridge as hub
from hub_keras_bridge import errors

PACKAGE = pathlib.Path(hub.__file__).parent

# The errors that are raised have their examples in docs/errors.md; see test_docs.py.
PUBLIC = {
    name: value
    for name, value in ((name, getattr(hub, name)) for name in hub.__all__)
    if (inspect.isfunction(value) or inspect.isclass(value))
    and errors.HubError not in getattr(value, "__bases__", ())
}

every_public_name = pytest.mark.parametrize("name", PUBLIC)


def public_callables():
    """Public functions, and classes and their methods, by dotted name."""
    found = dict(PUBLIC)
    for owner, value in PUBLIC.items():
        if inspect.isclass(value):
            methods = inspect.getmembers(value, inspect.isroutine)
            found |= {
                f"{owner}.{name}": method
                for name, method in methods
                if name in vars(value) and not name.startswith("_")
            }
    return found


def section(docstring, title):
    """Entries of a docstring's section: name -> text."""
    body = re.search(rf"^{title}:\n((?: .*\n|\n)*)", docstring + "\n", re.MULTILINE)
    entries = re.findall(r"^ {4}(\S.*?): ", body[1], re.MULTILINE) if body else []
    return [name.strip("*`") for entry in entries for name in entry.split(", ")]


@every_public_name
def test_has_an_example_that_runs(name):
    value = PUBLIC[name]
    collected = doctest.DocTestFinder(recurse=False).find(
        value, name, module=inspect.getmodule(value)
    )
    run = [
        example
        for test in collected
        for example in test.examples
        if doctest.SKIP not in example.options
    ]
    # An example without a result would show nothing.
    assert any(example.want for example in run)


@pytest.mark.parametrize("name", sorted(public_callables()))
def test_arguments_are_those_of_the_signature(name):
    value = public_callables()[name]
    told = section(inspect.getdoc(value) or "", "Args")
    called = value.__init__ if inspect.isclass(value) else value
    parameters = set(inspect.signature(called).parameters) - {"self", "cls"}
    assert set(told) <= parameters
    # Either all are told or, where their names say enough, none.
    assert not told or set(told) == parameters


def docstrings():
    """Module, name and text of each docstring of the package."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        module = ".".join(part for part in parts if part != "__init__")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, kinds) and (text := ast.get_docstring(node)):
                yield module, node.name, text


def is_error(name, module):
    """Whether a name is an error's, in a module or, where it is raised deeper, in errors.py."""
    known = {**vars(builtins), **vars(errors), **vars(importlib.import_module(module))}
    first, *rest = name.split(".")
    found = functools.reduce(lambda value, part: getattr(value, part, None), rest, known.get(first))
    return inspect.isclass(found) and issubclass(found, Exception)


def test_errors_that_are_told_exist():
    told = [
        (module, where, name)
        for module, where, text in docstrings()
        for name in section(text, "Raises")
    ]
    assert {name for *_, name in told} > {"FormatError", "OSError", "tf.errors.OpError"}
    unknown = [each for each in told if not is_error(each[2], each[0])]
    assert unknown == []
