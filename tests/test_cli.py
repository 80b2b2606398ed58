"""The command line around the commands."""

import subprocess
import sys
from types import ModuleType

import pytest

from hub_keras_bridge.cli import main
from hub_keras_bridge.cli.main import COMMANDS, Command
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
        "hub-keras-bridge try: No module. In: module '/some/where'. Found: a cat. "
        "What to do: look again.\n"
    )


def test_what_a_terminal_would_obey_is_spelled_out(command, capsys):
    def fail(args):
        raise FormatError("No module.", found="node '\x1b[2J'")

    command(fail)
    assert main(["try"]) == 1
    assert capsys.readouterr().err.endswith(r"Found: node '\x1b[2J'." + "\n")


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
