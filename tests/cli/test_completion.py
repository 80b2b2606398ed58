"""What shells get to complete the command line."""

import shutil
import subprocess

import pytest

from hub_keras_bridge.cli import main
from hub_keras_bridge.cli.commands import COMMANDS, parser_of
from hub_keras_bridge.cli.completion_words import words_of


@pytest.fixture(scope="module")
def places():
    return {place.path: place for place in words_of(parser_of(COMMANDS))}


@pytest.fixture
def script(capsys):
    def of(shell):
        assert main(["completion", shell]) == 0
        return capsys.readouterr().out

    return of


def test_all_commands_and_options_are_known(places):
    assert set(places[()].names) == set(COMMANDS)
    assert set(places["cache",].names) == {"list", "verify", "rm", "prune"}
    for path, place in places.items():
        names = {name for option in place.options for name in option.names}
        assert {"-h", "--help", "-q", "--quiet", "-v", "--verbose"} <= names, path
    (to,) = (option for option in places["convert",].options if "--to" in option.names)
    assert to.choices == ("savedmodel", "keras", "tflite", "onnx", "openvino", "hub")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_name_everything(shell, script, places):
    text = script(shell)
    for place in places.values():
        for option in place.options:
            for name in option.names:
                assert (name if shell != "fish" else name.lstrip("-")) in text
        assert all(name in text for name in place.names)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_read_them(shell, script, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "script").write_text(script(shell))
    subprocess.run([shell, "-n", str(tmp_path / "script")], check=True)


def test_bash_completes(script, tmp_path):
    (tmp_path / "complete.bash").write_text(script("bash"))
    lines = {
        "hub-keras-bridge ca": ["cache"],
        "hub-keras-bridge --ver": ["--version", "--verbose"],
        "hub-keras-bridge -q cache ": ["list", "verify", "rm", "prune"],
        "hub-keras-bridge cache prune --old": ["--older-than"],
        "hub-keras-bridge convert embed out --to t": ["tflite"],
        "hub-keras-bridge apply embed --input ": [],
        "hub-keras-bridge apply --in": ["--input", "--input-format"],
        "hub-keras-bridge completion ": ["bash", "zsh", "fish"],
        "hub-keras-bridge inspect ": [],
    }
    program = "set -u; source complete.bash\n"
    for line in lines:
        words = " ".join(f"'{word}'" for word in line.split(" "))
        program += (
            f"COMP_WORDS=({words}); COMP_CWORD={line.count(' ')}; COMPREPLY=()\n"
            '_hub_keras_bridge; echo "${COMPREPLY[*]-}"\n'
        )
    done = subprocess.run(
        ["bash", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert dict(zip(lines, map(str.split, done.stdout.splitlines()), strict=True)) == lines
