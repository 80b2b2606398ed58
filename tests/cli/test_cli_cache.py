"""``hub-keras-bridge cache list|verify|prune``."""

import datetime
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import pytest

from helpers.places import ZOO
from hub_keras_bridge.cli import main
from hub_keras_bridge.cli.cache_table import age, show_ago
from hub_keras_bridge.errors.words import show_bytes
from hub_keras_bridge.files.fetch import cache, cache_entries
from hub_keras_bridge.files.locks import Lock

DEEP_JSON = ("verify", "--deep", "--json")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


def fill(handle, name, days_old=0):
    """Puts a golden into the cache as if it was fetched some days ago."""
    entry = cache_entries.entry_of(handle)
    shutil.copytree(ZOO / name / "module", entry.path)
    fetched = datetime.datetime.now() - datetime.timedelta(days=days_old, minutes=1)
    pathlib.Path(entry.descriptor).write_text(f"Module: {handle}\nDownload Time: {fetched}\n")
    return entry


@pytest.fixture
def whole():
    return fill("https://example.org/whole", "mlp_bn")


@pytest.fixture
def broken():
    entry = fill("https://example.org/broken", "text_embed", days_old=40)
    os.remove(os.path.join(entry.path, "assets", "zoo_vocab_1.txt"))
    return entry


@pytest.fixture
def leftover(folder):
    path = folder / f".{'a' * 40}.xyz.partial"
    path.mkdir()
    return path


def run(capsys, *argv):
    """The exit status and what was printed."""
    status = main(["cache", *argv])
    told = capsys.readouterr()
    assert told.err == ""
    return status, told.out


class TestList:
    def test_nothing(self, capsys, folder):
        assert run(capsys, "list") == (0, f"0 modules in {folder}, 0 B\n")
        assert run(capsys, "list", "--json") == (0, "[]\n")

    def test_modules(self, capsys, folder, whole, broken):
        status, told = run(capsys, "list")
        assert status == 0
        cells = [re.split(" {3,}", line) for line in told.splitlines()]
        sizes = [show_bytes(size) for size in (broken.size, whole.size)]
        missing = "broken: assets/zoo_vocab_1.txt is missing"
        assert cells[0] == ["Module", "Size", "Last used", "Fetched", "State"]
        assert cells[2] == [
            broken.handle,
            sizes[0],
            show_ago(age(broken.used)),
            "40 days ago",
            missing,
        ]
        assert cells[3][:3] == [whole.handle, sizes[1], show_ago(age(whole.used))]
        assert cells[3][3:] == [show_ago(age(whole.fetched)), "whole"]
        assert [line for (line,) in cells[4:]] == [
            "",
            f"2 modules in {folder}, {show_bytes(whole.size + broken.size)}",
            f"1 broken: cache prune --broken frees {sizes[0]}",
        ]

    def test_on_a_narrow_terminal(self, capsys, whole, monkeypatch):
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", "60")
        used, fetched = (show_ago(age(moment)) for moment in (whole.used, whole.fetched))
        assert run(capsys, "list")[1].splitlines()[:3] == [
            whole.handle,
            f"  {show_bytes(whole.size)}, used {used}, fetched {fetched}, whole",
            "",
        ]

    def test_downloads_that_are_not_finished(self, capsys, leftover):
        assert "1 download not finished: cache prune clears" in run(capsys, "list")[1]

    def test_without_descriptor(self, capsys, whole):
        os.remove(whole.descriptor)
        assert run(capsys, "list")[1].splitlines()[2].startswith("(no descriptor) ")

    def test_json(self, capsys, whole, broken):
        facts = json.loads(run(capsys, "list", "--json")[1])
        assert [f["handle"] for f in facts] == [broken.handle, whole.handle]
        assert facts[1] == {
            "handle": "https://example.org/whole",
            "path": whole.path,
            "bytes": whole.size,
            "fetched": whole.fetched.isoformat(timespec="seconds"),
            "used": whole.used.isoformat(timespec="seconds"),
            "sha256": None,
            "fault": None,
        }
        assert facts[0]["fault"] == "assets/zoo_vocab_1.txt is missing"


class TestVerify:
    def test_whole(self, capsys, folder, whole):
        assert run(capsys, "verify") == (0, f"1 module in {folder}, 0 broken\n")

    def test_broken(self, capsys, folder, whole, broken):
        status, told = run(capsys, "verify")
        assert status == 1
        assert "https://example.org/whole" not in told
        assert "https://example.org/broken" in told
        assert told.endswith(f"2 modules in {folder}, 1 broken\n")
        status, told = run(capsys, "verify", "--json")
        assert status == 1
        assert [facts["path"] for facts in json.loads(told)] == [broken.path]


class TestDeep:
    @pytest.fixture
    def damaged(self):
        entry = fill("https://example.org/damaged", "mlp_bn")
        data = pathlib.Path(entry.path, "variables", "variables.data-00000-of-00001")
        content = bytearray(data.read_bytes())
        content[100] ^= 1
        data.write_bytes(content)
        return entry

    @pytest.fixture
    def changed(self):
        """What no checksum of TensorFlow's is for."""
        module = ZOO / "text_embed" / "module"
        path = cache.obtain(
            "https://example.org/changed",
            lambda folder: (
                shutil.copytree(module, folder, dirs_exist_ok=True),
                cache.Receipt("https://example.org/changed"),
            )[1],
        )
        with open(os.path.join(path, "assets", "zoo_vocab_1.txt"), "a") as stream:
            stream.write("more\n")
        return path

    def test_values_and_files(self, capsys, folder, whole, damaged, changed):
        assert run(capsys, "verify") == (0, f"3 modules in {folder}, 0 broken\n")
        status, told = run(capsys, "verify", "--deep")
        assert status == 1
        assert "https://example.org/whole" not in told
        assert told.endswith(f"3 modules in {folder}, 2 broken\n")
        found = {facts["path"]: facts for facts in json.loads(run(capsys, *DEEP_JSON)[1])}
        assert set(found) == {damaged.path, changed}
        assert found[changed]["fault"] == "its files are not those that were fetched"
        fault = found[damaged.path]["fault"]
        assert fault.startswith("the value of 'bn/beta' is damaged: ")
        assert "Checksum does not match" in fault

    def test_prune(self, capsys, folder, whole, damaged):
        assert (
            run(capsys, "prune", "--broken")[1] == f"0 modules removed from {folder}, freed 0 B\n"
        )
        size = show_bytes(damaged.size)
        status, told = run(capsys, "prune", "--broken", "--deep")
        assert (status, told.splitlines()[-1]) == (
            0,
            f"1 module removed from {folder}, freed {size}",
        )
        assert whole.exists
        assert not damaged.exists

    def test_every_golden_is_whole(self, capsys):
        names = sorted(path.parent.name for path in ZOO.glob("*/module"))
        for name in names:
            fill(f"https://example.org/{name}", name)
        status, told = run(capsys, "verify", "--deep")
        assert (status, told.split(",")[-1]) == (0, " 0 broken\n")


class TestPrune:
    @pytest.mark.parametrize(
        ("options", "gone"),
        [
            ([], []),
            (["--broken"], ["broken"]),
            (["--older-than", "39.5"], ["broken"]),
            (["--older-than", "41"], []),
            (["--older-than", "0"], ["broken", "whole"]),
            (["--older-than", "41", "--broken"], ["broken"]),
            (["--all"], ["broken", "whole"]),
        ],
    )
    def test_removes_what_an_option_takes(self, capsys, folder, whole, broken, options, gone):
        all_of_it = sorted(path.name for path in folder.iterdir())
        status, told = run(capsys, "prune", *options, "--dry-run")
        count = f"{len(gone)} module{'' if len(gone) == 1 else 's'}"
        assert status == 0
        freed = show_bytes(sum({"broken": broken, "whole": whole}[name].size for name in gone))
        assert told.endswith(f"{count} would be removed from {folder}, would free {freed}\n")
        assert sorted(path.name for path in folder.iterdir()) == all_of_it
        status, told = run(capsys, "prune", *options)
        assert status == 0
        assert told.endswith(f"{count} removed from {folder}, freed {freed}\n")
        entries = {"whole": whole, "broken": broken}
        for name, entry in entries.items():
            assert (f"https://example.org/{name}" in told) == (name in gone)
            assert entry.exists == os.path.exists(entry.descriptor) == (name not in gone)

    def test_leftovers(self, capsys, leftover):
        assert "unfinished downloads would be removed: 1" in run(capsys, "prune", "--dry-run")[1]
        assert leftover.exists()
        assert "unfinished downloads removed: 1" in run(capsys, "prune")[1]
        assert not leftover.exists()

    def test_what_is_being_fetched_stays(self, capsys, folder, whole):
        (folder / ".locks").mkdir()
        with Lock(str(folder / ".locks" / os.path.basename(whole.path))):
            status, told = run(capsys, "prune", "--all")
        assert status == 1
        assert f"{whole.path} stays: a process is fetching it" in told
        assert f"0 modules removed from {folder}" in told
        assert whole.fault is None

    def test_json(self, capsys, whole, broken):
        told = run(capsys, "prune", "--broken", "--json")[1]
        assert [facts["handle"] for facts in json.loads(told)] == ["https://example.org/broken"]
        assert not broken.exists

    @pytest.mark.parametrize("days", ["-1", "nan", "many"])
    def test_no_days(self, days, capsys):
        with pytest.raises(SystemExit) as exit_:
            main(["cache", "prune", "--older-than", days])
        assert exit_.value.code == 2
        assert "--older-than" in capsys.readouterr().err


class TestRm:
    def test_by_handle_or_folder(self, capsys, folder, whole, broken):
        told = run(capsys, "rm", "https://example.org/whole", "--dry-run")[1]
        assert f"1 module would be removed from {folder}" in told
        assert whole.exists
        assert run(capsys, "rm", "https://example.org/whole", broken.path)[0] == 0
        assert (whole.exists, broken.exists) == (False, False)

    def test_by_the_handle_that_is_listed(self, capsys, folder):
        entry = fill("https://user:secret@example.org/embed", "mlp_bn")
        assert "secret" not in entry.handle
        assert run(capsys, "rm", entry.handle)[0] == 0
        assert not entry.exists

    def test_of_a_handle_that_is_not_there_none_goes(self, capsys, whole):
        assert main(["cache", "rm", whole.handle, "https://example.org/no"]) == 1
        told = capsys.readouterr().err
        assert "it is not in the cache. In module 'https://example.org/no'" in told
        assert whole.exists


def test_what_is_not_read_is_unused(capsys, whole, broken):
    then = time.time() - 50 * 86_400
    for path in pathlib.Path(whole.path).rglob("*"):
        if path.is_file():
            os.utime(path, (then, path.stat().st_mtime))
    told = run(capsys, "prune", "--unused-for", "49", "--json")[1]
    assert [facts["path"] for facts in json.loads(told)] == [whole.path]
    assert broken.exists


@pytest.mark.parametrize("argv", [[], ["list"], ["verify"], ["prune"]])
def test_help_says_where_the_cache_is(argv, folder, capsys, monkeypatch):
    def told():
        with pytest.raises(SystemExit):
            main(["cache", *argv, "--help"])
        return " ".join(capsys.readouterr().out.split())

    monkeypatch.setenv("COLUMNS", "500")  # argparse breaks long paths at hyphens
    assert told().endswith(f"The cache is {folder}. The variable TFHUB_CACHE_DIR moves it.")
    monkeypatch.setenv("TFHUB_CACHE_DIR", "https://bucket/cache")
    assert "The cache cannot be used: expected TFHUB_CACHE_DIR=/path" in told()


def test_needs_an_action(capsys):
    with pytest.raises(SystemExit):
        main(["cache"])
    assert "ACTION" in capsys.readouterr().err


def test_needs_no_tensorflow(whole):
    code = (
        "import sys\n"
        "from hub_keras_bridge_cli import main\n"
        "assert main(['cache', 'verify']) == 0\n"
        "assert not {'tensorflow', 'keras', 'requests'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("1 module in ")
