"""The command that publishes a text embedding."""

import os

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from hub_keras_bridge.cli import main


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("the 1 2\ncat 3 4\n")
    return path


def run(file, target, *more):
    argv = ["--embedding-file", str(file), "--export-path", str(target), *more]
    return main(["publish-text-embedding", *argv])


def test_publishes(file, tmp_path, capsys):
    target = tmp_path / "module"
    assert run(file, target) == 0
    told = capsys.readouterr()
    assert told.out.splitlines() == [f"TF1 Hub module: {target}", "  2 tokens, 2 numbers each"]
    assert told.err == ""
    layer = hub.ModuleLayer(target)
    np.testing.assert_allclose(layer(tf.constant(["cat", "cat,"])), [[3, 4], [0, 0]])
    assert layer.variable_map["embeddings"].shape == (3, 2)


def test_options(file, tmp_path):
    assert run(file, tmp_path / "module", "--num-oov-buckets", "4", "--preprocess-text") == 0
    layer = hub.ModuleLayer(tmp_path / "module")
    np.testing.assert_allclose(layer(tf.constant(["cat", "cat,"])), [[3, 4], [3, 4]])
    assert layer.variable_map["embeddings"].shape == (6, 2)


def test_broken_file(file, tmp_path, capsys):
    file.write_text("the 1 2\ncat 3\n")
    assert run(file, tmp_path / "module") == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "line 2, token 'cat': has 1 numbers" in told.err
    assert os.listdir(tmp_path) == ["vectors.txt"]


def test_target_that_exists(file, tmp_path, capsys):
    target = tmp_path / "module"
    target.mkdir()
    (target / "saved_model.pb").touch()
    assert run(file, target) == 1
    assert "the target exists" in capsys.readouterr().err
    assert os.listdir(target) == ["saved_model.pb"]


def test_no_file(tmp_path, capsys):
    assert run(tmp_path / "no.txt", tmp_path / "module") == 1
    assert "its file cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["--embedding-file", "f"], ["--export-path", "p"]])
def test_both_paths_are_needed(argv, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["publish-text-embedding", *argv])
    assert exit_.value.code == 2
    assert "the following arguments are required" in capsys.readouterr().err
