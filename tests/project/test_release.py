"""What is around the code says the same as the code: versions, requirements, files."""

import importlib
import re
import sys

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import hub_keras_bridge as hub
from helpers.documents import prose
from helpers.places import GOLDEN, ROOT
from hub_keras_bridge.cli import main
from hub_keras_bridge.cli.demo import arguments
from hub_keras_bridge.running.engines import packages
from scripts.check_release import brought_by, project_files

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = SETTINGS["project"]
EXTRAS = PROJECT["optional-dependencies"]
CLASSIFIERS = PROJECT["classifiers"]
PYTHONS = [c.rpartition(" ")[2] for c in CLASSIFIERS if re.search(r":: 3\.\d+$", c)]


def read_yaml(name):
    return yaml.safe_load((ROOT / name).read_text())


def test_one_version():
    assert SETTINGS["tool"]["setuptools"]["dynamic"]["version"]["attr"].endswith("version.VERSION")
    assert read_yaml("CITATION.cff")["version"] == hub.__version__
    changes = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert changes[0] == hub.__version__


def test_one_author_and_licence():
    (author,) = read_yaml("CITATION.cff")["authors"]
    assert PROJECT["authors"] == [author]
    assert read_yaml("CITATION.cff")["license"] == PROJECT["license"]


def test_pythons():
    """Those of the classifiers are those that are tried, and that pip allows."""
    jobs = read_yaml(".github/workflows/checks.yml")["jobs"]
    assert jobs["run"]["strategy"]["matrix"]["python"] == PYTHONS
    assert SpecifierSet(PROJECT["requires-python"]) == SpecifierSet(f">={PYTHONS[0]}")
    assert [step["run"] for step in jobs["run"]["steps"] if "run" in step] == [".ci/run"]
    assert SETTINGS["tool"]["ruff"]["target-version"] == f"py{PYTHONS[0].replace('.', '')}"
    assert SETTINGS["tool"]["mypy"]["python_version"] == PYTHONS[0]


def test_the_core_requires_what_tensorflow_and_keras_bring():
    assert brought_by(PROJECT["dependencies"]) == brought_by(["tensorflow", "keras"])


@pytest.mark.parametrize("extra", EXTRAS)
def test_extras_are_requirements(extra):
    """That parse, and of which those of this package lead to its extras."""
    for requirement in map(Requirement, EXTRAS[extra]):
        assert requirement.extras <= set(EXTRAS)
        assert (requirement.name == PROJECT["name"]) == bool(requirement.extras)


# --- files ---


def named_files():
    """Those that pyproject.toml and MANIFEST.in name."""
    yield from (PROJECT["readme"], *PROJECT["license-files"])
    for module in SETTINGS["tool"]["setuptools"]["py-modules"]:
        yield f"{module}.py"
    for package, files in SETTINGS["tool"]["setuptools"]["package-data"].items():
        yield from (f"{package}/{file}" for file in files)
    for line in (ROOT / "MANIFEST.in").read_text().splitlines():
        if line.startswith(("graft ", "include ")):
            yield from line.split()[1:]


@pytest.mark.parametrize("name", sorted(named_files()))
def test_named_files_exist(name):
    assert (ROOT / name).exists()


def test_the_sdist_has_all_at_the_top():
    """`scripts/check_release.py` compares each file; here none can be forgotten meanwhile."""
    tops = {name.partition("/")[0] for name in project_files()}
    assert tops - set(named_files()) <= {"hub_keras_bridge", "pyproject.toml", "MANIFEST.in"}


def test_links_of_the_readme():
    """On an index a relative link leads nowhere. With an address, they have to begin with it."""
    links = re.findall(r"\]\(([^)#]+)", prose("README.md"))
    relative = {link for link in links if "://" not in link}
    if PROJECT.get("urls"):
        assert relative == set()
    else:
        assert relative <= project_files()


FORMS = sorted(name for name in project_files() if name.startswith(".github/"))


@pytest.mark.parametrize("name", FORMS)
def test_forms_name_what_is_there(name):
    text = (ROOT / name).read_text()
    for told in re.findall(r"(?:scripts|docs)/\w+\.\w+|\.ci/run|[A-Z]+\.md", text):
        assert (ROOT / told).exists(), told
    assert not name.endswith(".yml") or isinstance(yaml.safe_load(text), dict)


def test_hooks_are_the_first_checks():
    (repository,) = read_yaml(".pre-commit-config.yaml")["repos"]
    checks = (ROOT / ".ci" / "run").read_text()
    for hook in repository["hooks"]:
        tool, *words = hook["entry"].split()
        assert re.search(rf"^{' '.join([tool, *words[:1]])}", checks, re.MULTILINE)
        assert any(Requirement(text).name == tool for text in EXTRAS["dev"])


# --- a command without its extra: told first of all ---


def test_the_demo_names_its_extra(monkeypatch, capsys, tmp_path):
    known = {Requirement(text).name for text in EXTRAS["demo"]}
    assert set(arguments._PACKAGES.values()) == known
    monkeypatch.setitem(arguments._PACKAGES, "no_such_package", "no-such-package")
    assert main(["demo", "--output", str(tmp_path / "results")]) == 1
    assert capsys.readouterr().err == (
        "hub-keras-bridge demo: Cannot run the demo: a package is not installed. Expected the "
        "packages matplotlib, scikit-learn, no-such-package; found no no-such-package. What to do: "
        "python -m pip install 'hub_keras_bridge[demo]'.\n"
    )
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("name", "options"),
    [("compile", []), ("apply", ["--input", "in.npy", "--output", "out.npy"])],
)
def test_an_engine_names_its_extra(name, options, monkeypatch, capsys, tmp_path):
    def start_tensorflow():
        raise AssertionError("too early")

    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.npy").touch()
    command = importlib.import_module(f"hub_keras_bridge.cli.{name}")
    monkeypatch.setattr(command, "start_tensorflow", start_tensorflow)
    absent = packages.Packages(("no_such_package",), "openvino")
    monkeypatch.setitem(packages.BUILT_IN, "openvino", absent)
    handle = str(GOLDEN / "zoo" / "mlp_bn" / "module")
    assert main([name, handle, *options, "--engine", "openvino"]) == 1
    told = capsys.readouterr().err
    assert "for the engine 'openvino': it is not installed." in told
    assert told.endswith(
        "found no no_such_package. What to do: python -m pip install "
        "'hub_keras_bridge[openvino]'.\n"
    )


def test_what_built_in_engines_need():
    needs = {
        name: packages.Packages(engine.packages, engine.extra)
        for name, engine in hub.ENGINES.items()
        if engine.packages
    }
    assert needs == packages.BUILT_IN
    for each in needs.values():
        assert {Requirement(text).name for text in EXTRAS[each.extra]} == set(each.names)
