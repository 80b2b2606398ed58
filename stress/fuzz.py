"""The readers under a coverage-guided fuzzer: bytes in, errors of the family out.

Needs ``atheris`` (``pip install atheris``; Linux and macOS, Python 3.11 to
3.13). Each reader runs in a process of its own, since the fuzzer ends the one
that it is in. What breaks a reader is kept as a file and named in the report;
``python -m stress fuzz --reader NAME --only FILE`` gives it to the reader
again.

``fuzz_corpus`` has what earlier runs found to lead readers along ways of their
own. Each run begins with it, and ``--extend`` adds what a run finds; the tests
give all of it to the readers.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parent.parent
_GOLDENS = _ROOT / "tests" / "golden" / "zoo"
_LARGEST = 20_000  # bytes of an input
_KEPT, _KEPT_BYTES = 40, 2_000  # inputs of a reader in the corpus, bytes of one
CORPUS = Path(__file__).parent / "fuzz_corpus"
_PACKAGE = "hub_keras_bridge"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``python -m stress fuzz``."""
    parser.add_argument("--seconds", type=float, default=60.0, help="per reader (60)")
    parser.add_argument("--seed", type=int, default=1, help="of the fuzzer (1)")
    parser.add_argument("--reader", choices=sorted(READERS), nargs="+", default=sorted(READERS))
    parser.add_argument("--only", type=Path, metavar="FILE", help="read this file, and no more")
    parser.add_argument(
        "--extend", action="store_true", help=f"keep what leads to new branches in {CORPUS.name}"
    )
    parser.add_argument("--keep", type=Path, default=Path("fuzz"), help="where files are kept")


def run(arguments: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Fuzzes the readers; a report in Markdown, and the figures."""
    if arguments.only:
        for name in arguments.reader:
            READERS[name]()(arguments.only.read_bytes())
        return f"{arguments.only}: read, or refused as it should be", {}
    if importlib.util.find_spec("atheris") is None:
        return "Nothing was fuzzed: atheris is not installed (pip install atheris).", {}
    seconds = min(arguments.seconds, 5.0) if arguments.quick else arguments.seconds
    figures = {
        name: _fuzz(name, seconds, arguments.seed, arguments.keep, extend=arguments.extend)
        for name in arguments.reader
    }
    return "\n".join(_table(figures)), figures


def _fuzz(name: str, seconds: float, seed: int, keep: Path, *, extend: bool) -> dict[str, Any]:
    keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        for number, content in enumerate(SEEDS[name]()):
            (Path(corpus) / str(number)).write_bytes(content[:_LARGEST])
        kept = CORPUS / name.replace(" ", "_")
        kept.mkdir(parents=True, exist_ok=True)
        before = set(keep.iterdir())
        # What is found goes to the first of the folders.
        folders = (str(kept), corpus) if extend else (corpus, str(kept))
        done = _run(
            *(name, *folders),
            *(f"-max_total_time={seconds:.0f}", f"-seed={seed}", f"-max_len={_LARGEST}"),
            *("-timeout=20", "-rss_limit_mb=4096", "-print_final_stats=1"),
            f"-artifact_prefix={keep.resolve()}/{name}-",
        )
        _trim(kept)
    found = sorted(map(str, set(keep.iterdir()) - before))
    ran = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    covered = re.findall(r" cov: (\d+)", done.stderr)
    raised = re.findall(r"=== Uncaught Python exception: ===\n(.*)", done.stderr)
    if not ran:
        raise RuntimeError(f"The fuzzer of {name} did not run:\n{done.stderr[-4000:]}")
    return {
        "inputs": int(ran.group(1)),
        "covered": int(covered[-1]) if covered else 0,
        "broke": found,
        "raised": raised,
    }


def _trim(folder: Path) -> None:
    """Keeps the smallest inputs of a corpus: it is to stay small."""
    files = sorted(folder.iterdir(), key=lambda file: (file.stat().st_size, file.name))
    for position, file in enumerate(files):
        if position >= _KEPT or file.stat().st_size > _KEPT_BYTES:
            file.unlink()


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stress.fuzz", *arguments],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        errors="replace",
        cwd=_ROOT,
    )


def _table(figures: dict[str, dict[str, Any]]) -> Iterator[str]:
    yield "| reader | inputs | branches covered | broke it |"
    yield "|---|---|---|---|"
    for name, each in figures.items():
        broke = ", ".join([*each["raised"], *each["broke"]]) or "none"
        yield f"| {name} | {each['inputs']} | {each['covered']} | {broke} |"


# --- readers: each made when its process starts, since it imports what it reads with ---

Reader = Callable[[bytes], None]


def _module() -> Reader:
    """A saved_model.pb in a folder: its spec, and all facts in it."""
    import hub_keras_bridge as hub
    from hub_keras_bridge.plans.audit import audit_module

    folder = Path(tempfile.mkdtemp())
    (folder / "tfhub_module.pb").write_bytes(b"\x08\x03")
    (folder / "variables").mkdir()
    (folder / "variables" / "variables.index").write_bytes(b"")

    def read(content: bytes) -> None:
        (folder / "saved_model.pb").write_bytes(content)
        try:
            spec = hub.load_module_spec(folder)
            for tags in spec.get_tags():
                for signature in spec.get_signature_names(tags):
                    spec.get_input_info_dict(signature, tags)
                    spec.get_output_info_dict(signature, tags)
                spec.get_attached_message("note", hub.ImageModuleInfo, tags)
            _ = spec.variables, spec._repr_html_()
            audit_module(spec)
        except hub.HubError as error:
            str(error)

    return read


def _signature() -> Reader:
    """A TensorInfo."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import meta_graph_pb2

    from hub_keras_bridge.errors import HubError, Subject
    from hub_keras_bridge.facts.tensor_protos import parse_tensor_info
    from hub_keras_bridge.graphs.refusing import refusing

    def read(content: bytes) -> None:
        try:
            proto = meta_graph_pb2.TensorInfo.FromString(content)
        except DecodeError:
            return
        try:
            with refusing(Subject("fuzzed")):
                info = parse_tensor_info(proto)
            _ = info.dtype, info.get_shape(), info.component_specs, str(info)
        except HubError as error:
            str(error)

    return read


def _index() -> Reader:
    """The index of a checkpoint."""
    from hub_keras_bridge.files.checkpoint_index import check_index
    from hub_keras_bridge.files.checkpoint_table import Damaged

    prefix = Path(tempfile.mkdtemp()) / "variables"
    prefix.with_name("variables.data-00000-of-00001").write_bytes(bytes(1 << 20))

    def read(content: bytes) -> None:
        prefix.with_name("variables.index").write_bytes(content)
        import tensorflow as tf

        try:
            check_index(str(prefix))
        except (Damaged, tf.errors.NotFoundError):
            return
        # TensorFlow survives whatever passes.
        try:
            tf.train.load_checkpoint(str(prefix)).get_variable_to_shape_map()
        except (tf.errors.OpError, ValueError):
            return

    return read


def _embeddings() -> Reader:
    """A text file of embeddings."""
    from hub_keras_bridge.errors import HubError
    from hub_keras_bridge.publishing.embedding_file import EmbeddingFile

    folder = Path(tempfile.mkdtemp())

    def read(content: bytes) -> None:
        # As it is, and as what a .gz file would be.
        for name in ("embeddings.txt", "embeddings.gz"):
            (folder / name).write_bytes(content)
            try:
                EmbeddingFile(str(folder / name)).check(str(folder / "tokens"))
            except HubError as error:
                str(error)

    return read


def _archive() -> Reader:
    """A tar or tar.gz file, unpacked."""
    from hub_keras_bridge.errors import HubError, Subject
    from hub_keras_bridge.files.archive import unpack

    place = Path(tempfile.mkdtemp())

    def read(content: bytes) -> None:
        target = place / "target"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        try:
            unpack(io.BytesIO(content), str(target), subject=Subject("fuzzed"), max_bytes=1 << 24)
        except HubError as error:
            str(error)
            assert not any(target.iterdir()), "a refused archive left something"
        assert [path.name for path in place.iterdir()] == ["target"], "a file outside"

    return read


def _embedded() -> Reader:
    """The description of a module in a Keras config."""
    import base64

    from hub_keras_bridge.errors import HubError
    from hub_keras_bridge.frontends.keras3 import tf1_saving

    def read(content: bytes) -> None:
        for facts in (content, _deflated(content)):
            description = {"identity": "none", "facts": base64.b64encode(facts).decode()}
            try:
                asked = tf1_saving.Asked("default", ())
                spec = tf1_saving.revive(description, "/nowhere", None, asked)
                _ = spec.variables, repr(spec)
            except HubError as error:
                str(error)

    return read


def _deflated(content: bytes) -> bytes:
    import zlib

    return zlib.compress(content)


READERS: dict[str, Callable[[], Reader]] = {
    "module": _module,
    "signature": _signature,
    "checkpoint index": _index,
    "embeddings": _embeddings,
    "archive": _archive,
    "config": _embedded,
}


# --- what the fuzzer starts from ---


def _graphs() -> Iterator[bytes]:
    for file in sorted(_GOLDENS.glob("*/module/saved_model.pb")):
        if file.stat().st_size <= _LARGEST:
            yield file.read_bytes()


def _infos() -> Iterator[bytes]:
    from tensorflow.core.protobuf import saved_model_pb2

    for file in sorted(_GOLDENS.glob("*/module/saved_model.pb")):
        for meta_graph in saved_model_pb2.SavedModel.FromString(file.read_bytes()).meta_graphs:
            for signature in meta_graph.signature_def.values():
                for info in (*signature.inputs.values(), *signature.outputs.values()):
                    yield info.SerializeToString()


def _indexes() -> Iterator[bytes]:
    for file in sorted(_GOLDENS.glob("*/module/variables/variables.index")):
        yield file.read_bytes()


def _texts() -> Iterator[bytes]:
    import gzip

    text = b"2 3\na 1 2 3\nb 1e9 -2 nan\n"
    yield from (text, text[4:], gzip.compress(text))


def _archives() -> Iterator[bytes]:
    import tarfile

    for mode in ("w", "w:gz"):
        for kind in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
            stream = io.BytesIO()
            with tarfile.open(fileobj=stream, mode=mode, format=kind) as archive:
                archive.add(_GOLDENS / "multi_io" / "module", arcname=".")
                link = tarfile.TarInfo("assets/" + "n" * 120)
                archive.addfile(link, io.BytesIO())
            yield stream.getvalue()


SEEDS: dict[str, Callable[[], Iterator[bytes]]] = {
    "module": _graphs,
    "signature": _infos,
    "checkpoint index": _indexes,
    "embeddings": _texts,
    "archive": _archives,
    "config": _graphs,
}


def _main(name: str, arguments: list[str]) -> None:
    import atheris
    import tensorflow  # noqa: F401 - not instrumented: it is not what is fuzzed

    with atheris.instrument_imports(include=[_PACKAGE]):
        read = READERS[name]()
    atheris.Setup([sys.argv[0], *arguments], read)
    atheris.Fuzz()


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2:])
