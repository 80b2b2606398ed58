"""The command that runs a module over a file."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from hub_keras_bridge.cli import main


@pytest.fixture
def lines(golden, tmp_path):
    path = tmp_path / "in.txt"
    path.write_text("".join(f"{line}\n" for line in golden("text_embed").inputs(0)))
    return str(path)


@pytest.fixture
def run(golden, tmp_path, capsys):
    def run(name, source, target, *more):
        argv = ["--input", str(source), "--output", str(tmp_path / target), *more]
        status = main(["apply", golden(name).path, *argv])
        told = capsys.readouterr()
        return status, told.out, told.err

    return run


def test_writes_and_tells(run, golden, lines, tmp_path):
    expected = golden("text_embed").outputs(0)["default"]
    out = tmp_path / "out.npy"
    told = f"{out}: {len(expected)} rows of default\n"
    assert run("text_embed", lines, "out.npy") == (0, told, "")
    np.testing.assert_allclose(np.load(out), expected, atol=1e-5)


def test_to_standard_output(run, golden, lines, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    argv = ["apply", golden("text_embed").path, "--input", lines, "--output", "-"]
    assert main(argv) == 0
    out, err = capsys.readouterr()
    rows = [json.loads(line)["default"] for line in out.splitlines()]
    np.testing.assert_allclose(rows, golden("text_embed").outputs(0)["default"], atol=1e-5)
    assert err == f"{len(rows)} rows of default\n"
    assert os.listdir() == ["in.txt"]
    assert main([*argv, "--output-format", "npz"]) == 1
    err = capsys.readouterr().err
    assert "Cannot write npz to standard output." in err
    assert "leave out --output-format, or name a file" in err


def test_options(run, golden, tmp_path):
    module = golden("mlp_bn")
    call = next(i for i, c in enumerate(module.oracle["apply"]) if c["tags"])
    np.save(tmp_path / "in", module.inputs(call))
    out = tmp_path / "out"
    out.write_text("older")
    options = ["--tags", "train", "--output-key", "hidden_activations", "--limit", "2"]
    options += ["--batch-size", "1", "--signature", "default", "--overwrite"]
    options += ["--input-format", "npy", "--output-format", "jsonl"]
    status, told, _ = run("mlp_bn", tmp_path / "in.npy", "out", *options)
    assert (status, told) == (0, f"{out}: 2 rows of hidden_activations\n")
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [list(row) for row in rows] == [["hidden_activations"]] * 2


def test_values_for_all_examples(run, golden, tmp_path):
    module = golden("hyperparams")
    inputs, outputs = module.inputs(0), module.outputs(0)
    np.save(tmp_path / "in.npy", inputs["x"])
    rate = f"rate={float(inputs['rate'])!r}"
    assert run("hyperparams", tmp_path / "in.npy", "out.npy", "--set", rate)[0] == 0
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), outputs["default"], atol=1e-12)


def test_only_signature_is_taken_and_told(run, golden, tmp_path):
    module = golden("bert_tiny")
    np.savez(tmp_path / "in.npz", **module.inputs(0))
    status, out, err = run("bert_tiny", tmp_path / "in.npz", "out.npz")
    assert (status, err) == (0, "Takes the only signature there is, 'tokens'.\n")
    assert out.startswith(f"{tmp_path / 'out.npz'}: ")
    expected = module.outputs(0)["default"]
    np.testing.assert_allclose(np.load(tmp_path / "out.npz")["default"], expected, atol=1e-5)


def test_paths_in_the_home_of_the_user(golden, lines, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    os.symlink(golden("text_embed").path, tmp_path / "embed")
    assert main(["apply", "~/embed", "--input=~/in.txt", "--output=~/out.npy"]) == 0
    assert sorted(os.listdir(tmp_path)) == ["embed", "in.txt", "out.npy"]


def test_errors_are_told_without_traceback(run, lines, tmp_path):
    status, out, err = run("text_embed", lines, "out.txt")
    assert (status, out) == (1, "")
    assert "its name does not tell its format" in err
    assert "Traceback" not in err
    status, _, err = run("mlp_bn", lines, "out.npy")
    assert status == 1
    assert "lines of text go to a signature with one string input" in err
    assert os.listdir(tmp_path) == ["in.txt"]


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["--batch-size", "0"], "0 is not 1 or more"),
        (["--limit", "-1"], "-1 is not 1 or more"),
        (["--set", "rate"], "'rate' is not NAME=VALUE"),
        (["--output-format", "csv"], "invalid choice: 'csv'"),
    ],
)
def test_wrong_usage(run, lines, argv, reason, capsys):
    with pytest.raises(SystemExit) as exit_:
        run("text_embed", lines, "out.npy", *argv)
    assert exit_.value.code == 2
    assert reason in capsys.readouterr().err


def test_help_names_beam_and_imports_no_tensorflow():
    code = (
        "import sys\n"
        "from hub_keras_bridge_cli import main\n"
        "try:\n    main(['apply', '--help'])\n"
        "finally:\n    print('tensorflow' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "RunInference(HubModelHandler(HANDLE))" in done.stdout
    assert done.stdout.endswith("False\n")
