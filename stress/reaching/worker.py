"""A process that tries mutants, one line of JSON in, one out for each."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import json
import os
import resource
import shutil
import socket
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

_MEMORY = 4 << 30  # Beyond what the process has after its imports.


def main(place: Path, seconds: float, channel: int | None, port: int) -> None:
    """Serves requests until the input ends.

    Args:
        place: a folder of its own; ``place/outside`` is what mutants point at.
        seconds: for one mutant.
        channel: descriptor of a socket to whoever watches; None where nobody does.
        port: of loopback, where somebody listens.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    faulthandler.enable()
    sys.dont_write_bytecode = True  # which would be a file outside
    work = place / "work"
    work.mkdir(exist_ok=True)
    tempfile.tempdir = str(work)
    os.environ |= {"TMPDIR": str(work), "HOME": str(work), "TFHUB_CACHE_DIR": str(work / "cache")}
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    from absl import logging

    logging.set_verbosity(logging.FATAL)
    warnings.simplefilter("ignore")
    from stress.reaching.bases import bases
    from stress.reaching.routes import Routes

    known = bases(place / "bases")
    for folder in known.values():  # what is imported and made at the first use alone
        Routes(folder, lambda _: None).take()
    _use_engines()
    _limit_memory()
    if channel is not None:
        _be_watched(channel)
    os.chdir(work)
    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        answer = _try(json.loads(line), known, place, seconds, port)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _use_engines() -> None:
    """Runs each engine once: what they look for in the system, they look for at first alone."""
    import tensorflow as tf

    import hub_keras_bridge as hub

    def module_fn() -> None:
        x = tf.compat.v1.placeholder(tf.float32, [None, 2])
        weights = tf.compat.v1.get_variable("weights", initializer=tf.eye(2))
        hub.add_signature(inputs=x, outputs=tf.nn.relu(x @ weights))

    spec = hub.create_module_spec(module_fn)
    for engine in hub.ENGINES:
        hub.compile(spec, engine=engine)([[1.0, 2.0]])


def _be_watched(channel: int) -> None:
    from stress.reaching.watch import be_watched

    with socket.socket(fileno=channel) as end, contextlib.suppress(OSError):
        be_watched(end)


def _try(
    request: dict[str, int], known: dict[str, Path], place: Path, seconds: float, port: int
) -> Any:
    import keras

    from stress.reaching.case import NotApplicable, Outside
    from stress.reaching.mutants import make
    from stress.reaching.routes import Routes

    seed, number = request["seed"], request["number"]
    doing = place / "doing"
    doing.write_text(json.dumps({"base": "", "mutators": [], "told": [], "step": "make"}))
    faulthandler.dump_traceback_later(seconds, exit=True)
    outside = Outside(str(place / "outside"), port, f"mark of mutant {number}.")
    try:
        mutant = make(seed, number, known, place / "module", outside)
    except NotApplicable as error:
        return {"base": "", "mutators": [str(error)], "told": [], "steps": []}
    told = {"base": mutant.base, "mutators": mutant.mutators, "told": mutant.told}

    def begin(step: str) -> None:
        os.path.exists(f"{place}/marks/")
        doing.write_text(json.dumps({**told, "step": step}))
        os.path.exists(f"{place}/marks/{step.replace('/', '|')}")

    steps = Routes(mutant.folder, begin, number).take()
    os.path.exists(f"{place}/marks/")
    keras.backend.clear_session(free_memory=False)  # collecting all takes as long as the rest
    if number % 20 == 0:
        gc.collect()
    faulthandler.cancel_dump_traceback_later()
    for each in (place / "work").iterdir():
        shutil.rmtree(each, ignore_errors=True)
    return {**told, "steps": steps}


def _limit_memory() -> None:
    status = Path("/proc/self/status").read_text().splitlines()
    size = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmSize:"))
    resource.setrlimit(resource.RLIMIT_AS, (size + _MEMORY, size + _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    _, _place, _seconds, _channel, _port = sys.argv
    main(Path(_place), float(_seconds), int(_channel) if _channel != "-" else None, int(_port))
