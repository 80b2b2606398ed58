"""README, CONTRIBUTING and docs/: what they show runs, and what they name is there."""

import doctest
import inspect
import json
import os
import re
import shlex
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.documents import PAGES, ROOT, code_blocks, fenced_blocks, programs, prose
from hub_keras_bridge import errors
from hub_keras_bridge.cli import main
from hub_keras_bridge.frontends.old_names import SUBMODULES
from hub_keras_bridge.graphs.ops import reach

v1 = tf.compat.v1
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
DOCUMENTS = ["README.md", "CONTRIBUTING.md", *(f"docs/{page.name}" for page in PAGES)]

# Documents with whole programs, and how many: the tests that start them are
# below, in test_distribute.py with mirrored.py, in test_keras_export.py, and in
# tests/backends/test_documented.py.
PROGRAMS = {
    "README.md": 2,
    "docs/backends.md": 4,
    "docs/distribute.md": 2,
    "docs/errors.md": 1,
    "docs/export.md": 1,
}
# Blocks that are shown and not run: settings of a web server, what a program prints.
NOT_RUN = {"nginx", "text"}

every_document = pytest.mark.parametrize("document", DOCUMENTS)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_examples(page, here, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(here.parent / "cache"))
    result = doctest.testfile(str(page), module_relative=False, optionflags=FLAGS)
    assert result.failed == 0


@every_document
def test_no_block_is_passed_over(document):
    assert len(programs(document)) == PROGRAMS.get(document, 0)
    languages = {language for language, _ in fenced_blocks(document)}
    assert languages <= {"python", "sh"} | NOT_RUN


# --- whole programs ---


def images_fn():
    images = v1.placeholder(tf.float32, [None, 4, 4, 3])
    kernel = v1.get_variable("kernel", [3, 8], initializer=v1.glorot_uniform_initializer(1))
    hub.add_signature(inputs=images, outputs=tf.nn.relu(tf.reduce_mean(images, [1, 2]) @ kernel))


def test_opening_of_the_readme(here, publish):
    os.rename(publish(images_fn), here / "module")
    program, _ = programs("README.md")
    images = np.random.default_rng(0).normal(size=(8, 4, 4, 3)).astype(np.float32)
    known = {"images": images, "labels": np.arange(8) % 5}
    exec(program.replace("/path/to", str(here)), known)
    (layer, _) = known["model"].layers
    start = hub.ModuleLayer(here / "module").variable_map["kernel"].numpy()
    tuned = layer.variable_map["kernel"].numpy()
    assert np.abs(tuned - start).max() > 1e-6
    exported = hub.ModuleLayer(here / "tuned_module")
    np.testing.assert_array_equal(exported.variable_map["kernel"].numpy(), tuned)
    loaded = keras.models.load_model("tuned.keras")
    np.testing.assert_allclose(loaded(images), known["model"](images), atol=1e-6)


def words_fn():
    texts = v1.placeholder(tf.string, [None])
    table = v1.get_variable("table", [50, 4], initializer=v1.glorot_uniform_initializer(1))
    words = tf.strings.split(texts)
    ids = tf.strings.to_hash_bucket_fast(words.values, 50)
    found = tf.math.segment_mean(tf.gather(table, ids), words.value_rowids())
    hub.add_signature(inputs=texts, outputs=found)


def test_text_in_the_readme(here, publish):
    os.rename(publish(words_fn), here / "text_module")
    _, program = programs("README.md")
    known = {"texts": ["a good film", "a dull one"], "labels": np.array([1, 0])}
    exec(program.replace("/path/to", str(here)), known)
    start = hub.ModuleLayer(here / "text_module").variable_map["table"].numpy()
    tuned = known["model"].layers[0].variable_map["table"].numpy()
    assert np.abs(tuned - start).max() > 1e-6
    for texts in (known["texts"], np.array(known["texts"])):
        with pytest.raises(ValueError, match=r"Unrecognized data type|Invalid dtype: str"):
            known["model"].fit(texts, known["labels"])


def test_program_of_the_errors(here):
    (program,) = programs("docs/errors.md")
    (printed,) = code_blocks("docs/errors.md", "text")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == printed


# --- the shell ---


def texts_fn():
    texts = v1.placeholder(tf.string, [None])
    hub.add_signature(inputs=texts, outputs=tf.one_hot(tf.strings.length(texts), 9))


# Each command line that stands by itself -> the files that it makes.
COMMAND_LINES = {
    "hub-keras-bridge inspect HANDLE": [],
    "hub-keras-bridge inspect HANDLE --html page.html": ["page.html"],
    "hub-keras-bridge inspect HANDLE --nodes Softmax": [],
    "hub-keras-bridge apply HANDLE --input sentences.txt --output vectors.npy": ["vectors.npy"],
    "hub-keras-bridge apply HANDLE --input sentences.txt --output -": [],
    "hub-keras-bridge cache list": [],
    "hub-keras-bridge cache prune --unused-for 90 --dry-run": [],
    "hub-keras-bridge pack my_module embed.tar.gz": ["embed.tar.gz"],
}


def command_lines():
    """Of the blocks of shell, what runs the package alone."""
    return {
        shlex.join(shlex.split(line, comments=True))
        for document in DOCUMENTS
        for block in code_blocks(document, "sh")
        for line in block.splitlines()
        if line.startswith("hub-keras-bridge ")
    }


def test_each_command_line_is_known():
    assert command_lines() == set(COMMAND_LINES)


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_command_line(line, here, publish, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(here.parent / "cache"))
    os.rename(publish(texts_fn), here / "my_module")
    (here / "sentences.txt").write_text("one\nthree\n")
    before = set(os.listdir())
    assert main(line.replace("HANDLE", "my_module").split()[1:]) == 0
    assert set(os.listdir()) - before == set(COMMAND_LINES[line])


@every_document
def test_commands_and_options_exist(document, capsys):
    """Of all that is said of the command line, in blocks and in between."""
    text = prose(document) + "\n".join(code_blocks(document, "sh"))
    for command in re.findall(r"\bhub-keras-bridge ([a-z][^`\n#]*)", text):
        words = command.split()
        options = [word for word in words if word.startswith("--")]
        named = words[: words.index(options[0])] if options else words
        with pytest.raises(SystemExit) as stopped:
            main([*named, "--help"])
        told = capsys.readouterr()
        assert stopped.value.code == 0, told.err
        assert all(re.search(rf"{option}\b", told.out) for option in options), command


def test_shell_of_two_machines(tmp_path):
    """What it starts, and what TensorFlow reads of its TF_CONFIG."""
    (block,) = code_blocks("docs/distribute.md", "sh")
    # For python, what tells how it was called.
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$*" "$TF_CONFIG"\n')
    python.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-e", "-c", block], env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    called, _, config = done.stdout.partition("\n")
    assert called == "train.py /models/module data.npz trained.keras"
    assert json.loads(config)["task"] == {"type": "worker", "index": 0}
    assert len(json.loads(config)["cluster"]["worker"]) == 2


# --- what is named ---


def anchors(path):
    """The names by which a page's sections are linked to."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-").lower() for heading in headings}


@every_document
def test_links_lead_somewhere(document):
    text = re.sub("`[^`]*`", "", prose(document))
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        path = (ROOT / document).parent / name if name else ROOT / document
        assert path.exists(), link
        assert not anchor or anchor in anchors(path), link


@every_document
def test_files_of_the_project_exist(document):
    tops = "|".join(
        ("docs", "tests", "scripts", "benchmarks", "stress", "notebooks", "hub_keras_bridge")
    )
    for path in re.findall(rf"`((?:{tops})/[\w./-]*)`", prose(document)):
        assert (ROOT / path).exists(), path


@every_document
def test_extras_exist(document):
    project = (ROOT / "pyproject.toml").read_text()
    for extra in re.findall(r"(?:extra `|'\.)\[(\w+)\]", (ROOT / document).read_text()):
        assert re.search(rf"^{extra} = \[", project, re.MULTILINE), extra


# The old library's, of which README says that they are not there.
OLD_NAMES = {"KerasLayer", "image_util"}


# The left columns of the page left out are about the old library.
@pytest.mark.parametrize("document", [name for name in DOCUMENTS if "migration" not in name])
def test_names_of_the_package_exist(document):
    for name in re.findall(r"\bhub\.([A-Za-z_]\w*)", (ROOT / document).read_text()):
        assert hasattr(hub, name) or name in OLD_NAMES, name


NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("page", [*DOCUMENTS, *(f"notebooks/{page.name}" for page in NOTEBOOKS)])
def test_what_is_imported_is_public(page):
    """Other paths may move. The old library's are there for old code."""
    text = (ROOT / page).read_text()
    imported = re.findall(r"from hub_keras_bridge((?:\.\w+)*) import (\w+)", text)
    imported += [(path, "") for path in re.findall(r"\bimport hub_keras_bridge((?:\.\w+)+)", text)]
    for path, name in imported:
        if path:
            assert path[1:].partition(".")[0] in {"errors", "beam", *SUBMODULES}, (path, name)
        else:
            assert name in {*hub.__all__, "errors", "beam"}, name


# --- errors ---


def sections():
    """Error -> its section in docs/errors.md."""
    text = (ROOT / "docs" / "errors.md").read_text()
    found = re.findall(r"^### (\w+)\n(.*?)(?=^##)", text + "\n##", re.DOTALL | re.MULTILINE)
    assert len(found) == len(dict(found))
    return dict(found)


ERRORS = {
    name: error
    for name, error in vars(errors).items()
    if inspect.isclass(error) and issubclass(error, errors.HubError) and name != "HubError"
}


def test_each_error_has_a_section():
    assert set(sections()) == set(ERRORS)


@pytest.mark.parametrize("name", ERRORS)
def test_section_of_an_error(name):
    text = " ".join(sections()[name].split())
    told = re.match(r"Also an? (.*?)\.", text)
    builtins = [base.__name__ for base in ERRORS[name].__bases__ if base is not errors.HubError]
    assert re.findall(r"`(\w+)`", told[1]) == builtins
    assert re.search(rf"errors\.{name}: |except hub\.{name}\b", text), "an example"


# --- safe mode ---


def test_kinds_of_ops():
    """The table of docs/security.md against the reviewed list."""
    rows = re.findall(
        r"^\| ([a-z ]+) \| ([^|]*) \| (takes|refuses)", prose("docs/security.md"), re.M
    )
    assert [kind for kind, *_ in rows] == [each.value for each in reach.Reach]
    told = {op: kind for kind, examples, _ in rows for op in re.findall(r"`(\w+)`", examples)}
    assert {op: reach.reach_of_op(op).value for op in told} == told
    assert [verdict for *_, verdict in rows] == ["takes"] * 3 + ["refuses"] * 6
