"""What is measured in a process of its own, so that nothing before it is in its figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parent.parent


def printed_by(arguments: list[str], folder: Path = _ROOT, **environment: str) -> Any:
    """What a Python process prints as its last line, in JSON.

    Args:
        arguments: of Python.
        folder: where it starts; the project's root if not told.
        **environment: variables that it has besides this process's.
    """
    done = subprocess.run(
        [sys.executable, *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, **environment},
    )
    return json.loads(done.stdout.splitlines()[-1])


def printed_by_main(module: str, arguments: list[Any], **environment: str) -> Any:
    """What ``main()`` of a module prints, as :func:`printed_by`.

    Args:
        module: its name.
        arguments: what it finds in ``sys.argv``.
        **environment: as of :func:`printed_by`.
    """
    code = f"from {module} import main; main()"
    return printed_by(["-c", code, *map(str, arguments)], **environment)
