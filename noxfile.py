"""The checks by their names: ``nox --list``; ``nox --session lint types``.

``.ci/run`` does all of them in one environment, and decides. Here each has an environment
of its own; with ``--reuse-existing-virtualenvs`` it is kept.
"""

import nox

nox.options.sessions = ["lint", "types", "docs", "build"]


@nox.session
def lint(session: nox.Session) -> None:
    """Looks for faults and at the format."""
    session.install(*_pinned("ruff"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Checks types, of what rich and the like have, too."""
    session.install(".", *_pinned("mypy"))
    session.run("mypy")


@nox.session(venv_backend="none")
@nox.parametrize("versions", ["oldest", "newest"], ids=["oldest", "newest"])
def tests(session: nox.Session, versions: str) -> None:
    """Runs the tests with the oldest or newest TensorFlow and Keras, which the script knows."""
    session.run("python", "scripts/version_matrix.py", versions)


@nox.session
def docs(session: nox.Session) -> None:
    """Runs what README and docs/ show."""
    session.install("--editable", ".[test]")
    session.run("python", "-m", "pytest", "README.md", "tests/project/test_docs.py")


@nox.session
def build(session: nox.Session) -> None:
    """Makes wheel and sdist, and tries both."""
    session.install(".", *_pinned("build"), *_pinned("twine"))
    session.run("python", "scripts/check_release.py")


def _pinned(tool: str) -> list[str]:
    """The requirement of a tool in the extra ``dev``."""
    project = nox.project.load_toml("pyproject.toml")["project"]
    dev = project["optional-dependencies"]["dev"]
    return [requirement for requirement in dev if requirement.startswith(tool)]
