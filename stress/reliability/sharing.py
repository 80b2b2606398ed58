"""Processes that share a cache, some of which are killed."""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
from collections.abc import Callable
from typing import Any

import hub_keras_bridge as hub
from hub_keras_bridge.files.fetch import cache_entries
from stress.reliability import hosting, writers
from stress.reliability.children import Child, alone

_PROCESSES = 8
_SECONDS = 0.1  # Between kills, at most.


def run(modules: int, kills: int, seed: int) -> dict[str, Any]:
    """Eight processes resolve the same handles in the same order, and read each module.

    Args:
        modules: how many handles.
        kills: how often a process is killed and begun anew; one that is done
            already does not count as killed.
        seed: for who is killed, and when.
    """
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as source, tempfile.TemporaryDirectory() as out:
        os.environ["TFHUB_CACHE_DIR"] = out
        alone(lambda: writers.prepare(source))
        with hosting.server(source):
            handles = [
                f"{hosting.url_of(source)}/module_{number % 3}.tar.gz?number={number}"
                for number in range(modules)
            ]
            work = _resolving(handles)
            children = [Child(work) for _ in range(_PROCESSES)]
            killed = 0
            for _ in range(kills):
                time.sleep(draw.uniform(0, _SECONDS))
                victim = draw.randrange(_PROCESSES)
                children[victim].kill()
                killed += children[victim].wait() == -signal.SIGKILL
                children[victim] = Child(work)
            told = [message for child in children for message in child.messages()]
            statuses = [child.wait() for child in children]
            requests = len(hosting.requests(source))
        errors = [message["error"] for message in told if "error" in message]
        whole = sum(entry.fault is None for entry in cache_entries.entries())
        return {
            "processes": _PROCESSES,
            "modules": modules,
            "killed": killed,
            "fetched": requests,
            "whole at the end": whole,
            "errors": errors + [status for status in statuses if status],
            "left folders": len(writers.hidden(out)),
        }


def _resolving(handles: list[str]) -> Callable[[Callable[[Any], None]], None]:
    def work(send: Callable[[Any], None]) -> None:
        for number, handle in enumerate(handles):
            found = writers.weight(hub.resolve(handle))
            if found != number % 3:
                send({"error": f"{handle}: module {found}"})

    return work
