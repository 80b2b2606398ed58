"""The programs by name, how one is run, and when two results are the same."""

import importlib
import json
import pathlib
import pkgutil
import subprocess
import tempfile

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1

_FOLDER = pathlib.Path(__file__).parent
# As TensorFlow 2 behaves; and where that differs, as it does after disable_v2_behavior().
RECORDED, RECORDED_V1 = _FOLDER / "recorded.json", _FOLDER / "recorded_v1.json"
_TOLERANCE = 1e-5

PROGRAMS = {}


def program(function):
    """Registers ``function(hub, folder)``, which returns what is to be compared.

    ``hub`` is the library, ``folder`` a fresh folder for what the program writes.
    """
    return _register(function, ends_in_error=False)


def refused(function):
    """Registers a program that the original refuses with an error, which old code may catch."""
    return _register(function, ends_in_error=True)


def _register(function, ends_in_error):
    assert function.__name__ not in PROGRAMS, f"two programs {function.__name__}"
    function.ends_in_error = ends_in_error
    PROGRAMS[function.__name__] = function
    return function


def all_programs():
    """Name -> function, of every file in ``programs/``."""
    from old_code import programs

    for file in pkgutil.iter_modules(programs.__path__):
        importlib.import_module(f"old_code.programs.{file.name}")
    return PROGRAMS


def run(function, hub):
    """What the program returned, as ``{"value": ...}``, or ``{"error": names, "text": line}``.

    An error is a result too: old code catches it. Its names are those of the classes that an
    ``except`` may name, the error's own first.
    """
    v1.reset_default_graph()  # Its scopes are those of functions that are wrapped.
    with tempfile.TemporaryDirectory() as folder:
        try:
            return {"value": plain(function(hub, pathlib.Path(folder)))}
        except Exception as error:
            classes = type(error).__mro__
            catching = [c.__name__ for c in classes if issubclass(c, Exception)]
            return {"error": catching, "text": str(error).partition("\n")[0]}


def ask(python, library, names=(), *, is_v1=False):
    """Name -> what the program returns, all in one process of their own.

    Args:
        python: an interpreter that has the library.
        is_v1: whether TensorFlow is to behave as before version 2, which holds for a process.
    """
    command = [python, "-m", "old_code", *["--v1"] * is_v1, library, *names]
    done = subprocess.run(
        command, cwd=_FOLDER.parent, check=True, stdout=subprocess.PIPE, text=True
    )
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"program"')]
    return {row.pop("program"): row for row in rows}


def recorded(is_v1=False):
    """Name -> what the original returned; without programs that need eager execution, for v1."""
    results = json.loads(RECORDED.read_text())
    if is_v1:
        results |= json.loads(RECORDED_V1.read_text())
    return {name: result for name, result in results.items() if result}


def record(results, results_v1):
    """Writes what the original returned. A program that goes wrong by mistake is not recorded."""
    for name, result in results.items():
        if not _is_meant(name, result):
            raise SystemExit(f"{name} is not meant to give {result}")
    _write(RECORDED, results)
    differing = {
        name: result if _is_meant(name, result) else None
        for name, result in results_v1.items()
        if differences(results[name], result)
    }
    _write(RECORDED_V1, differing)


def _is_meant(name, result):
    return ("error" in result) == PROGRAMS[name].ends_in_error


def _write(file, results):
    facts = {name: _without_text(results[name]) for name in sorted(results)}
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(facts[name])}" for name in facts)
    file.write_text(f"{{\n{lines}\n}}\n")


def _without_text(result):
    return result and {key: value for key, value in result.items() if key != "text"}


def differences(expected, found):
    """Where a result is not the original's; an error has to be caught where the original's is."""
    if "error" in expected:
        caught = expected["error"][0] in found.get("error", [])
        return [] if caught else [f"{expected['error'][0]} is expected, found {_short(found)}"]
    if "value" not in found:
        return [f"a value is expected, found {_short(found)}"]
    return list(_differences("", expected["value"], found["value"]))


def _differences(path, expected, found):
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted({*expected, *found}):
            yield from _differences(
                f"{path}[{key!r}]", expected.get(key, _NOTHING), found.get(key, _NOTHING)
            )
    elif isinstance(expected, list) and isinstance(found, list) and _are_names(expected + found):
        if expected != found:
            missing, more = sorted({*expected} - {*found}), sorted({*found} - {*expected})
            yield f"{path}: {_short(missing)} are missing, {_short(more)} are too many"
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, pair in enumerate(zip(expected, found, strict=True)):
            yield from _differences(f"{path}[{index}]", *pair)
    elif not _same(expected, found):
        yield f"{path}: {_short(expected)} is expected, found {_short(found)}"


_NOTHING = "nothing"


def _are_names(values):
    return all(isinstance(value, str) for value in values)


def _same(expected, found):
    if isinstance(expected, float) or isinstance(found, float):
        numbers = isinstance(expected, (int, float)) and isinstance(found, (int, float))
        return numbers and abs(expected - found) <= _TOLERANCE * (1 + abs(expected))
    return type(expected) is type(found) and expected == found


def _short(value):
    text = json.dumps(value)
    return text if len(text) < 300 else f"{text[:300]}..."


def plain(value):
    """The value as JSON has it; so that both sides are compared after the same conversion."""
    if isinstance(value, (v1.SparseTensorValue, tf.SparseTensor)):
        return plain({"indices": value.indices, "values": value.values, "shape": value.dense_shape})
    if isinstance(value, (tf.RaggedTensor, v1.ragged.RaggedTensorValue)):
        return plain(value.to_list())
    if isinstance(value, (tf.Tensor, tf.Variable)):
        return plain(value.numpy())
    if isinstance(value, tf.TensorShape):
        return str(value)
    if isinstance(value, tf.DType):
        return value.name
    if isinstance(value, dict):
        return {str(key): plain(value[key]) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, (set, frozenset)):
        return sorted(plain(each) for each in value)
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    return value.decode() if isinstance(value, bytes) else value
