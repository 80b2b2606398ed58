"""What is compared: modules, inputs that were recorded for them, and training data."""

from __future__ import annotations

import json
import tarfile
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import hub_keras_bridge as hub
from original import published
from original.exchange import Parts
from original.inputs import Inputs

_SPEC_NAME = "published here"
_TESTS = Path(__file__).resolve().parent.parent.parent / "tests"
_PUBLISHERS = _TESTS / "golden" / "publishers" / "programs.py"


@dataclass(frozen=True)
class Recording:
    """Inputs that one signature was once given."""

    tags: frozenset[str]
    signature: str
    inputs: Inputs


@dataclass(frozen=True)
class Lessons:
    """What to train a module on: one batch and its targets per step."""

    tags: frozenset[str]
    signature: str
    output: str
    rate: float
    batches: list[tuple[Inputs, Parts]]


@dataclass(frozen=True)
class Subject:
    """One module to compare.

    Attributes:
        name: as the table calls it.
        handle: what ModuleLayer takes.
        recordings: inputs to use; others are random.
        lessons: data to tune it on; else they are random.
        assets: file name below ``assets/`` -> its content.
        as_it_is: whether the original is to read ``handle`` itself, not what
            this package exports after tuning.
    """

    name: str
    handle: str | hub.ModuleSpec
    recordings: list[Recording] = field(default_factory=list)
    lessons: Lessons | None = None
    assets: dict[str, bytes] = field(default_factory=dict)
    as_it_is: bool = False


def golden(folder: Path) -> Subject:
    """A module of ``tests/golden/zoo``, whose README explains the keys."""
    module = str(folder / "module")
    spec = hub.load_module_spec(module)
    oracle = json.loads((folder / "oracle.json").read_text())
    with np.load(folder / "oracle.npz", allow_pickle=True) as arrays:
        recordings = []
        for number, call in enumerate(oracle["apply"]):
            tags, signature = frozenset(call["tags"]), call["signature"] or "default"
            prefix = f"apply{number}.in."
            values = _below(prefix, arrays)
            if call["single_input"]:
                values = _alone(values[""], spec, tags, signature)
            recordings.append(Recording(tags, signature, values))
        lessons = _recorded_lessons(oracle["tune"], arrays, spec) if "tune" in oracle else None
    return Subject(folder.name, module, recordings, lessons, read_assets(Path(module)))


def _recorded_lessons(
    tune: dict[str, object], arrays: np.lib.npyio.NpzFile, spec: hub.ModuleSpec
) -> Lessons:
    tags = frozenset(tune["tags"])
    by_step = (
        _below("tune.x.", arrays)
        if tune["dict_input"]
        else _alone({"value": arrays["tune.x"]}, spec, tags, "default")
    )
    batches = [
        (
            {name: {"value": parts["value"][step]} for name, parts in by_step.items()},
            {"value": arrays["tune.t"][step]},
        )
        for step in range(tune["steps"])
    ]
    return Lessons(tags, "default", "default", tune["lr"], batches)


def _below(prefix: str, arrays: np.lib.npyio.NpzFile) -> Inputs:
    return {
        key.removeprefix(prefix): {"value": arrays[key]}
        for key in arrays.files
        if key.startswith(prefix)
    }


def _alone(parts: Parts, spec: hub.ModuleSpec, tags: frozenset[str], signature: str) -> Inputs:
    (name,) = spec.get_input_info_dict(signature, tags)
    return {name: parts}


def real(path: Path, unpacked: Path) -> Subject:
    """A module's folder or ``.tar.gz``; ``<name>_oracle.npz`` beside it has inputs.

    Their keys are ``[tags]|signature|in|name``, the tags joined by commas.
    """
    name = path.name.removesuffix(".tar.gz")
    recorded = path.with_name(f"{name}_oracle.npz")
    module = path
    if path.is_file():
        module = unpacked / name
        with tarfile.open(path) as archive:
            archive.extractall(module, filter="data")
    recordings = _keyed(recorded) if recorded.exists() else []
    return Subject(str(path), str(module), recordings, assets=read_assets(module))


def _keyed(file: Path) -> list[Recording]:
    found: dict[tuple[str, str], Inputs] = {}
    with np.load(file, allow_pickle=True) as arrays:
        for key in arrays.files:
            tags, signature, direction, name = key.split("|")
            if direction == "in":
                found.setdefault((tags, signature), {})[name] = {"value": arrays[key]}
    return [
        Recording(frozenset(filter(None, tags.strip("[]").split(","))), signature, inputs)
        for (tags, signature), inputs in found.items()
    ]


def real_modules(folder: Path) -> Iterator[Path]:
    """The modules right below a folder."""
    for path in sorted(folder.iterdir()):
        if path.name.endswith(".tar.gz") or (path / "tfhub_module.pb").exists():
            yield path


def published_here(folder: Path) -> Iterable[Subject]:
    """One module, exported from a spec and a TF1 checkpoint, and from a tuned layer."""
    spec = published.module_spec(folder)
    assets = {"vocabulary.txt": (folder / "vocabulary.txt").read_bytes()}
    exported = folder / "exported"
    spec.export(str(exported), checkpoint_path=published.write_checkpoint(folder))
    lessons = Lessons(
        frozenset({"train"}),
        "default",
        "default",
        0.5,
        [_lesson(["the", "cat", "sat", "unheard"]), _lesson(["hello", "world", "the", "other"])],
    )
    yield Subject(f"{_SPEC_NAME}, spec.export", str(exported), [], lessons, assets, True)
    yield Subject(f"{_SPEC_NAME}, ModuleLayer(spec)", spec, [], lessons, assets)
    yield _nested(folder / "nested", lessons)
    yield _text_embedding(folder / "text_embedding", lessons)
    yield from _of_publishers(folder / "publishers")


def _nested(folder: Path, lessons: Lessons) -> Subject:
    """A module of two modules with vocabularies of one name, out of a TF1 graph."""
    parts = []
    for number, words in enumerate((published.WORDS, published.OTHER_WORDS)):
        part = folder / f"part_{number}"
        published.export_from_graph(published.module_spec(part, words), part / "exported")
        parts.append(str(part / "exported"))
    published.export_from_graph(published.nested_spec(parts), folder / "exported")
    vocabularies = [(folder / f"part_{n}" / "vocabulary.txt").read_bytes() for n in (0, 1)]
    assets = {"vocabulary.txt": vocabularies[0], "vocabulary_1.txt": vocabularies[1]}
    path = str(folder / "exported")
    return Subject(f"{_SPEC_NAME}, nested, Module.export", path, [], lessons, assets, True)


def _text_embedding(folder: Path, lessons: Lessons) -> Subject:
    """What ``hub-keras-bridge publish-text-embedding`` makes."""
    folder.mkdir()
    words = [word for word in published.WORDS if " " not in word]
    rows = np.random.default_rng(0).normal(size=(len(words), 4)).round(3)
    lines = [f"{word} {' '.join(map(str, row))}\n" for word, row in zip(words, rows, strict=True)]
    (folder / "embeddings.txt").write_text("".join(lines))
    hub.publish_text_embedding(folder / "embeddings.txt", folder / "exported", num_oov_buckets=2)
    batches = [({"sentences": inputs["default"]}, target) for inputs, target in lessons.batches]
    lessons = replace(lessons, tags=frozenset(), batches=batches)
    path = folder / "exported"
    name = f"{_SPEC_NAME}, publish-text-embedding"
    return Subject(name, str(path), [], lessons, read_assets(path), True)


def _of_publishers(folder: Path) -> Iterator[Subject]:
    """What the programs of ``tests/golden/publishers`` write, with their import changed."""
    source = _PUBLISHERS.read_text()
    source = source.replace("import tensorflow_hub as hub", "import hub_keras_bridge as hub")
    programs = types.ModuleType("programs")
    exec(compile(source, _PUBLISHERS, "exec"), programs.__dict__)
    folder.mkdir()
    for name, (write, calls) in programs.PROGRAMS.items():
        path = str(folder / name)
        write(path)
        spec = hub.load_module_spec(path)
        recordings = [_recording(spec, *call) for call in calls]
        assets = read_assets(Path(path))
        yield Subject(f"{_SPEC_NAME}, {name}", path, recordings, assets=assets, as_it_is=True)


def _recording(spec: hub.ModuleSpec, tags: object, signature: str | None, given: Any) -> Recording:
    """A call of a program, whose values are as a session takes them."""
    tags, signature = frozenset(tags or ()), signature or "default"
    infos = spec.get_input_info_dict(signature, tags)
    values = given if isinstance(given, dict) else dict.fromkeys(infos, given)
    dtypes = {name: infos[name].dtype.as_numpy_dtype for name in values}
    return Recording(tags, signature, {n: _parts(v, dtypes[n]) for n, v in values.items()})


def _parts(value: Any, dtype: type) -> Parts:
    if not hasattr(value, "dense_shape"):
        return {"value": np.asarray(value, dtype)}
    indices, values, shape = value
    return {
        "indices": np.asarray(indices, np.int64),
        "values": np.asarray(values, dtype),
        "dense_shape": np.asarray(shape, np.int64),
    }


def _lesson(words: list[str]) -> tuple[Inputs, Parts]:
    target = np.linspace(-1, 1, len(words) * 4, dtype=np.float32).reshape(-1, 4)
    return {"default": {"value": np.array([w.encode() for w in words], object)}}, {"value": target}


def read_assets(module: Path) -> dict[str, bytes]:
    """The files below ``assets/`` by name."""
    folder = module / "assets"
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}
