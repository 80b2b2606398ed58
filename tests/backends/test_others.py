"""The tests of this folder pass in a process of JAX, and in one of PyTorch, too."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.backends import BACKEND

HERE = Path(__file__)


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="starts the processes of the others")
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_all_pass_on(backend):
    pytest.importorskip(backend)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [*command, str(HERE.parent), f"--ignore={HERE}", "-r", "fE"],
        env={**os.environ, "KERAS_BACKEND": backend},
        cwd=HERE.parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
