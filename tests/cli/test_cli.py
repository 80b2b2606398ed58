"""The command line around the commands."""

import json
import os
import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest
from absl import logging

from helpers.places import ZOO
from hub_keras_bridge.cli import main
from hub_keras_bridge.cli.commands import COMMANDS, Command
from hub_keras_bridge.cli.verbosity import progress_console, remark
from hub_keras_bridge.errors import FormatError, Subject
from hub_keras_bridge.version import VERSION


@pytest.fixture
def command(monkeypatch):
    """Adds a command to the table, with the ``run`` it is given."""

    def add(run):
        module = ModuleType("a_command_for_tests")
        module.add_arguments = lambda parser: parser.add_argument("--count", type=int, default=1)
        module.run = run
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(COMMANDS, "try", Command(help="for tests", module=module.__name__))

    return add


def test_runs_the_command_with_its_arguments(command):
    seen = []
    command(lambda args: seen.append(args.count) or 0)
    assert main(["try", "--count", "3"]) == 0
    assert seen == [3]


def test_hands_on_the_exit_status(command):
    command(lambda args: 4)
    assert main(["try"]) == 4


def test_error_of_the_family_is_told_without_traceback(command, capsys):
    def fail(args):
        raise FormatError("No module.", Subject("/some/where"), found="a cat", advice="look again")

    command(fail)
    assert main(["try"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == (
        "hub-keras-bridge try: No module. In module '/some/where': found a cat. "
        "What to do: look again.\n"
    )


def test_what_a_terminal_would_obey_is_spelled_out(command, capsys):
    def fail(args):
        raise FormatError("No module.", found="node '\x1b[2J'")

    command(fail)
    assert main(["try"]) == 1
    assert capsys.readouterr().err.endswith(r"Found node '\x1b[2J'." + "\n")


def test_advice_names_options(command, capsys):
    def fail(args):
        raise FormatError("No.", advice="pass count=... or signature=..., of any count")

    command(fail)
    assert main(["try"]) == 1
    told = "What to do: pass --count or signature=..., of any count.\n"
    assert capsys.readouterr().err.endswith(told)


def test_json_of_an_error(command, capsys):
    def fail(args):
        args.json = True
        raise FormatError("No module.", Subject("/some/where"), found="a cat", advice="look again")

    command(fail)
    assert main(["try"]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out) == {
        "error": {
            "kind": "FormatError",
            "problem": "No module.",
            "in": "module '/some/where'",
            "expected": None,
            "found": "a cat",
            "advice": "look again",
        }
    }
    assert told.err.count("\n") == 1


def test_other_errors_keep_their_traceback(command):
    def fail(args):
        raise ZeroDivisionError

    command(fail)
    with pytest.raises(ZeroDivisionError):
        main(["try"])


def test_interrupted(command, capsys):
    def interrupt(args):
        raise KeyboardInterrupt

    command(interrupt)
    assert main(["try"]) == 130
    assert capsys.readouterr().err == "hub-keras-bridge try: interrupted\n"


@pytest.mark.parametrize("argv", [["nonsense"], [], ["try", "--nonsense"], ["try", "--count", "x"]])
def test_wrong_usage(argv, command, capsys):
    command(lambda args: 0)
    with pytest.raises(SystemExit) as exit_:
        main(argv)
    assert exit_.value.code == 2
    assert "usage: hub-keras-bridge" in capsys.readouterr().err


def test_unknown_command_lists_the_choices(capsys):
    with pytest.raises(SystemExit):
        main(["nonsense"])
    message = capsys.readouterr().err
    assert all(name in message for name in ("nonsense", *COMMANDS))


def test_version(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"hub-keras-bridge {VERSION}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_in_the_table_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as exit_:
        main([name, "--help"])
    assert exit_.value.code == 0
    shown = capsys.readouterr().out
    assert f"usage: hub-keras-bridge {name}" in shown
    assert COMMANDS[name].help.split()[0] in shown


def started(*argv, **variables):
    """What a process of its own says: to the command line, and where TensorFlow is imported."""
    code = (
        "import sys\n"
        "from hub_keras_bridge_cli import main\n"
        "try:\n    status = main(sys.argv[1:])\n"
        "except SystemExit as exit_:\n    status = exit_.code\n"
        "print('TensorFlow' if 'tensorflow' in sys.modules else 'alone')\n"
        "sys.exit(status)\n"
    )
    unset = ("TF_CPP_MIN_LOG_LEVEL", "KERAS_BACKEND")
    environment = {k: v for k, v in os.environ.items() if k not in unset}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, argv)],
        capture_output=True,
        text=True,
        check=False,
        env={**environment, "CUDA_VISIBLE_DEVICES": "", **variables},
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_imports_no_tensorflow(name):
    status, out, err = started(name, "--help")
    assert (status, out[-1], err) == (0, "alone", "")


MODULE = str(ZOO / "mlp_bn" / "module")


@pytest.mark.parametrize(
    ("argv", "status", "told"),
    [
        (["apply", MODULE, "--input", "no.npy", "--output", "out.npy"], 1, "nothing at"),
        (["apply", MODULE, "--input", "in.npy", "--output", "out.doc"], 1, "--output-format with"),
        (["apply", MODULE, "--input", "in.doc", "--output", "out.npy"], 1, "--input-format with"),
        (["apply", MODULE, "--input", "in.npy", "--output", "there.npy"], 1, "pass --overwrite"),
        (["apply", "no", "--input", "in.npy", "--output", "out.npy"], 1, "nothing at"),
        (["apply", MODULE, "--input", "in.npy", "--output", "no/out.npy"], 1, "found no folder"),
        (["inspect", MODULE, "--html", "no/page.html"], 1, "found no folder"),
        (["convert", MODULE, "in.npy/out", "--to", "savedmodel"], 1, "a file, no folder, at"),
        (["convert", MODULE, "out", "--to", "keras"], 1, "add .keras to the name"),
        (["convert", MODULE, "there.npy", "--to", "savedmodel"], 1, "the target exists"),
        (["convert", "no", "out", "--to", "tflite"], 1, "nothing at"),
        (["check-signatures", MODULE], 2, "arguments are required: --kind"),
        (["check-signatures", MODULE, "--kind", "sound"], 2, "invalid choice: 'sound'"),
        (["check-signatures", "no", "--kind", "text-embedding"], 1, "nothing at"),
        (["audit", "no"], 1, "nothing at"),
        (["inspect", "no"], 1, "nothing at"),
    ],
)
def test_what_needs_no_tensorflow_is_told_without_it(argv, status, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("in.npy", "in.doc", "there.npy"):
        (tmp_path / name).touch()
    code, out, err = started(*argv)
    assert (code, out) == (status, ["alone"])
    assert told in err
    assert status == 2 or err.count("\n") == 1


def test_tensorflow_starts_in_silence(tmp_path):
    np.save(tmp_path / "in.npy", np.ones((2, 51), np.float32))
    argv = ["apply", MODULE, "--input", tmp_path / "in.npy", "--output", tmp_path / "out.npy"]
    # The backend is that of this process, whatever the variable says.
    for variables in ({}, {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "jax"}):
        status, out, err = started(*argv, "--overwrite", **variables)
        assert (status, err) == (0, "")
        assert out == [f"{tmp_path / 'out.npy'}: 2 rows of default", "TensorFlow"]


def test_help_imports_no_command():
    # A process of its own: this one has imported commands already.
    code = (
        "import sys\n"
        "from hub_keras_bridge.cli import main\n"
        "try:\n"
        "    main(['--help'])\n"
        "finally:\n"
        "    print('imported', *sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    shown, _, imported = done.stdout.partition("imported ")
    modules = set(imported.split())
    assert all(name in shown for name in COMMANDS)
    assert "hub_keras_bridge.cli.main" in modules
    assert not modules & {command.module for command in COMMANDS.values()}


@pytest.mark.parametrize("argv", [["-q", "try"], ["try", "-q"], ["try", "--quiet"]])
def test_quiet_has_no_remarks_and_no_bars(argv, command, capsys, monkeypatch):
    monkeypatch.setenv("TFHUB_DOWNLOAD_PROGRESS", "")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")

    def run(args):
        remark(args, "by the way")
        assert progress_console(args).is_terminal is False
        print("result")
        return 0

    command(run)
    before = logging.get_verbosity()
    try:
        assert main(argv) == 0
    finally:
        logging.set_verbosity(before)
    assert capsys.readouterr() == ("result\n", "")
    assert os.environ["TFHUB_DOWNLOAD_PROGRESS"] == "0"


def test_verbose_tells_where_an_error_came_from(command, capsys, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")

    def fail(args):
        raise FormatError("No module.")

    command(fail)
    before = logging.get_verbosity()
    try:
        assert main(["try", "--verbose"]) == 1
    finally:
        logging.set_verbosity(before)
    told = capsys.readouterr().err
    assert told.startswith("Traceback")
    assert told.endswith("hub-keras-bridge try: No module.\n")
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"


def test_a_reader_that_has_enough(tmp_path):
    code = "import sys; from hub_keras_bridge_cli import main; sys.exit(main(sys.argv[1:]))"
    argv = [sys.executable, "-c", code, "completion", "zsh"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 1
