"""Sees less than :mod:`watch`, everywhere: what is done in one folder and at one port.

For where the kernel asks no supervisor, such as in most containers. It is
enough for mutants that point nowhere else, and blind to what else they might reach.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import socket
import struct
import threading
from collections.abc import Iterator

from stress.reaching.watch import Breach

# include/uapi/linux/inotify.h
_EVENTS = {
    0x001: "read",
    0x002: "write",
    0x004: "change of attributes",
    0x020: "open",
    0x040: "move away",
    0x080: "move here",
    0x100: "creation",
    0x200: "deletion",
}
_NONBLOCK = os.O_NONBLOCK
_EVENT = struct.Struct("=iIII")


class Listener:
    """Accepts whoever comes to a port of loopback, and notes it."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.visits = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                self._socket.accept()[0].close()
                self.visits += 1

    def close(self) -> None:
        self._socket.close()


class Canary:
    """Watches a folder that nobody has business in."""

    def __init__(self, folder: str, listener: Listener) -> None:
        self._folder = folder
        self._listener = listener
        self._visits = listener.visits
        self._descriptor = -1
        if platform.system() == "Linux":
            libc = ctypes.CDLL(None, use_errno=True)
            self._descriptor = libc.inotify_init1(_NONBLOCK)
            libc.inotify_add_watch(self._descriptor, folder.encode(), sum(_EVENTS))

    def breaches(self) -> list[Breach]:
        """Those since the last time that somebody asked."""
        found = list(dict.fromkeys(self._events()))
        visits, self._visits = self._listener.visits - self._visits, self._listener.visits
        return found + [Breach("", "connect", "loopback")] * visits

    def _events(self) -> Iterator[Breach]:
        content = b""
        with contextlib.suppress(BlockingIOError):
            while self._descriptor >= 0:
                content += os.read(self._descriptor, 1 << 16)
        while content:
            _, mask, _, length = _EVENT.unpack_from(content)
            name = content[_EVENT.size : _EVENT.size + length].rstrip(b"\0")
            content = content[_EVENT.size + length :]
            kinds = [told for bit, told in _EVENTS.items() if mask & bit]
            yield Breach("", " and ".join(kinds), os.path.join(self._folder, os.fsdecode(name)))
