"""Builds wheel and sdist, looks at what they hold, and tries the wheel as who installs it.

python scripts/check_release.py: needs the tools of the extra [dev], and installs nothing. The
wheel runs where it finds what it requires, what that requires, and nothing else.
"""

from __future__ import annotations

import fnmatch
import importlib.metadata as metadata
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PACKAGE = "hub_keras_bridge"
# What a build adds to an sdist.
_ADDED = ("PKG-INFO", "setup.cfg")

# Python imports a module of this name first of all.
_AS_IF_ALONE = """\
import sys
from importlib.machinery import PathFinder

ABSENT = {names!r}


class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        absent = name.partition(".")[0] in ABSENT
        return None if absent else super().find_spec(name, path, target)


sys.meta_path = [Finder if each is PathFinder else each for each in sys.meta_path]
"""


def main() -> int:
    """Checks one release; the first fault ends it."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _run(sys.executable, "-m", "build", "--outdir", folder, ROOT)
        (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
        _run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)
        _check_sdist(sdist)
        _check_wheel(wheel)
        _try(wheel, folder / "installed")
    print("release: wheel and sdist are whole, and the wheel works")
    return 0


def project_files(folder: Path = ROOT) -> set[str]:
    """All files of the project, by their paths in it, but those that git ignores."""
    rules = (ROOT / ".gitignore").read_text().split()
    ignored = [".git", *_ADDED, *(rule.strip("/") for rule in rules)]
    found: set[str] = set()
    for path in folder.iterdir():
        if any(fnmatch.fnmatch(path.name, rule) for rule in ignored):
            continue
        found |= project_files(path) if path.is_dir() else {path.relative_to(ROOT).as_posix()}
    return found


def brought_by(requirements: Iterable[str]) -> set[str]:
    """The distributions that requirements bring: they, what they require, and so on."""
    found: set[str] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        waiting += map(Requirement, metadata.requires(name) or ())
    return found


def _check_sdist(path: Path) -> None:
    with tarfile.open(path) as archive:
        files = {name.partition("/")[2] for name in archive.getnames() if "/" in name}
        folders = {str(parent) for name in files for parent in Path(name).parents}
    added = {*_ADDED, *(name for name in files if ".egg-info/" in name)}
    _same("sdist", files - folders - added, project_files())


def _check_wheel(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        files = {name for name in archive.namelist() if ".dist-info/" not in name}
        licences = [name for name in archive.namelist() if name.endswith("/licenses/LICENSE")]
    own = {name for name in project_files() if name.startswith(f"{PACKAGE}/")}
    _same("wheel", files, own | {f"{PACKAGE}_cli.py"})
    assert licences, "the wheel lacks its licence"


def _same(what: str, found: set[str], expected: set[str]) -> None:
    assert found == expected, (
        f"the {what} lacks {sorted(expected - found)}, and has {sorted(found - expected)} besides"
    )


def _try(wheel: Path, folder: Path) -> None:
    """Runs scripts/first_steps.py and the command line with the wheel and what it requires."""
    _run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder, wheel)
    (installed,) = metadata.distributions(name=PACKAGE, path=[str(folder)])
    (folder / "sitecustomize.py").write_text(_AS_IF_ALONE.format(names=_absent(installed)))
    work = folder / "work"
    work.mkdir()
    alone = {**os.environ, "PYTHONPATH": str(folder), "TFHUB_CACHE_DIR": str(folder / "cache")}

    def told(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(
            command, cwd=work, env=alone, capture_output=True, text=True, check=False
        )

    steps = told(ROOT / "scripts" / "first_steps.py", folder)
    assert steps.returncode == 0, steps.stdout + steps.stderr
    command = folder / "bin" / "hub-keras-bridge"
    version = told(command, "--version")
    assert version.stdout == f"hub-keras-bridge {installed.version}\n", version
    page = told(command, "inspect", "module", "--html", "page.html")
    assert (work / "page.html").exists(), page.stderr
    demo = told(command, "demo")
    assert f"'{PACKAGE}[demo]'" in demo.stderr, demo


def _absent(distribution: metadata.Distribution) -> set[str]:
    """What can be imported here, and could not where a distribution alone was installed."""
    there = brought_by(distribution.requires or ()) | {canonicalize_name(PACKAGE)}
    kept: set[str] = set()
    others: set[str] = set()
    for each in metadata.distributions():
        names = (file.parts[0].partition(".")[0] for file in each.files or ())
        (kept if canonicalize_name(each.metadata["Name"]) in there else others).update(names)
    return others - kept


def _run(*command: object) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


if __name__ == "__main__":
    sys.exit(main())
