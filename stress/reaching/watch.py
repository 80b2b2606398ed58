"""Sees what a process reaches: files, sockets, other processes.

The kernel asks a supervisor about the system calls of :mod:`syscalls` before it
does any, and waits for the answer (seccomp_unotify(2), Linux 5.7). The process
sets up a filter of itself, all of its threads included, and sends the
descriptor on which the questions come (seccomp(2), ``SECCOMP_RET_USER_NOTIF``).
The supervisor reads paths in the other's memory, lets go on what is the
process's own, and answers all else with EPERM, so that nothing happens.

A sandbox this is not: between the look at a path and its use, a thread could
write another. For an oracle about programs that do not know of it, it is exact.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import platform
import re
import select
import socket
import struct
import threading
from collections.abc import Iterable
from typing import NamedTuple

from stress.reaching.syscalls import (
    AT_EMPTY_PATH,
    CLONE,
    CLONE3,
    CLONE_THREAD,
    NAMES_ALONE,
    NEWFSTATAT,
    SYSCALLS,
)

# --- in the process that is watched ---

# include/uapi/linux/seccomp.h, prctl.h, audit.h
_SECCOMP = 317
_SET_MODE_FILTER, _GET_ACTION_AVAIL = 1, 2
_TSYNC, _NEW_LISTENER, _TSYNC_ESRCH = 1, 8, 16
_ASK, _ALLOW, _FAIL, _KILL = 0x7FC00000, 0x7FFF0000, 0x00050000, 0x80000000
_NO_NEW_PRIVS = 38
_X86_64 = 0xC000003E
# include/uapi/linux/bpf_common.h: load a word, compare, test bits, return.
_LOAD, _EQUAL, _BITS, _RETURN = 0x20, 0x15, 0x45, 0x06
# struct seccomp_data: int nr; u32 arch; u64 instruction_pointer; u64 args[6]
_NUMBER, _ARCHITECTURE = 0, 4


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def can_watch() -> bool:
    """Whether this kernel asks a supervisor, as far as it tells beforehand."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return False
    action = ctypes.c_uint32(_ASK)
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.syscall(_SECCOMP, _GET_ACTION_AVAIL, 0, ctypes.byref(action)) == 0


def be_watched(channel: socket.socket) -> None:
    """Lets whoever has the other end of a channel decide what this process may reach.

    Raises:
        OSError: the kernel, or a sandbox around this process, does not let it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    code = _filter()
    buffer = ctypes.create_string_buffer(code)
    program = _Program(len(code) // 8, ctypes.addressof(buffer))
    if libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")
    flags = _TSYNC | _NEW_LISTENER | _TSYNC_ESRCH
    listener = libc.syscall(_SECCOMP, _SET_MODE_FILTER, flags, ctypes.byref(program))
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp(SECCOMP_SET_MODE_FILTER)")
    # From here on others answer: no call of the list before they have the descriptor.
    socket.send_fds(channel, [b"x"], [listener])
    os.close(listener)


def _filter() -> bytes:
    """A program in classic BPF: number of a call -> allow, ask, or fail."""

    def argument(position: int) -> int:
        return 16 + 8 * position  # its lower half

    program = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, _X86_64),
        (_RETURN, 0, 0, _KILL),  # numbers of another architecture
        (_LOAD, 0, 0, _NUMBER),
        (_EQUAL, 0, 1, CLONE3),
        (_RETURN, 0, 0, _FAIL | errno.ENOSYS),
        # A new thread is no new process.
        (_EQUAL, 0, 3, CLONE),
        (_LOAD, 0, 0, argument(0)),
        (_BITS, 0, 1, CLONE_THREAD),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, _NUMBER),
        # What has no path asks about a descriptor.
        (_EQUAL, 0, 3, NEWFSTATAT),
        (_LOAD, 0, 0, argument(3)),
        (_BITS, 0, 1, AT_EMPTY_PATH),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, _NUMBER),
    ]
    for number in SYSCALLS:
        program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ASK)]
    program.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("HBBI", *each) for each in program)


# --- in the supervisor ---

# struct seccomp_notif: u64 id; u32 pid, flags; struct seccomp_data data
_QUESTION = struct.Struct("=QII iIQ 6Q")
# struct seccomp_notif_resp: u64 id; s64 val; s32 error; u32 flags
_ANSWER = struct.Struct("=QqiI")
_RECEIVE, _SEND, _STILL_ASKED = 0xC0502100, 0xC0182101, 0x40082102
_SET_FLAGS, _ON_THIS_PROCESSOR = 0x40082104, 1
_CONTINUE = 1
_AT_FDCWD = -100
_LONGEST = 4096


_THREAD_NAME = re.compile(r"/proc/self/task/\d+/comm")


class Breach(NamedTuple):
    """What was reached, and refused.

    Attributes:
        during: what was under way.
        syscall: its name.
        what: a path, or the arguments.
    """

    during: str
    syscall: str
    what: str


class Policy(NamedTuple):
    """What belongs to a process that is watched.

    Attributes:
        system: folders and files of the system that it may read, links and all.
        read: folders that it may read.
        written: those that it may write, too.
        marks: a path that does not exist. The process looks for ``marks/WORD`` to
            say what it begins, or for ``marks/`` alone to say that for now
            all is its own business: in the order of its other calls.
    """

    system: tuple[str, ...]
    read: tuple[str, ...]
    written: tuple[str, ...]
    marks: str

    def allows(self, path: str, *, changes: bool, looks: bool, names: bool = False) -> bool:
        """Whether a path is the process's own, as it is named and where links lead.

        Args:
            path: from the root on.
            changes: whether it is written.
            looks: whether no more is asked than what is there.
            names: whether it is about the name alone: a link there is not followed.
        """
        path = os.path.normpath(path)
        if _THREAD_NAME.fullmatch(path):
            return True  # What a library calls a thread of its own.
        if not changes and _within(path, self.system):
            return True
        folder, name = os.path.split(path)
        led = os.path.join(os.path.realpath(folder), name) if names else os.path.realpath(path)
        return all(self._has(each, changes=changes, looks=looks) for each in (path, led))

    def _has(self, path: str, *, changes: bool, looks: bool) -> bool:
        if _within(path, self.written) or (not changes and _within(path, self.read)):
            return True
        # Folders on the way to what it may read are looked at, links looked for.
        above = path.rstrip("/") + "/"
        return looks and any(
            root.startswith(above) for root in (*self.system, *self.read, *self.written)
        )


def _within(path: str, roots: Iterable[str]) -> bool:
    return any(path == root or path.startswith(root.rstrip("/") + "/") for root in roots)


class Watch:
    """Answers the questions of one process, until it ends.

    Args:
        channel: from which its descriptor comes.
        policy: what is the process's own.

    Raises:
        ConnectionError: no descriptor comes.
    """

    def __init__(self, channel: socket.socket, policy: Policy) -> None:
        _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
        if not descriptors:
            raise ConnectionError("The process did not send what its questions come on.")
        self._listener = descriptors[0]
        self._policy = policy
        self._during = ""
        self._breaches: list[Breach] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def breaches(self) -> list[Breach]:
        """Those since the last time that somebody asked."""
        found, self._breaches = self._breaches, []
        return found

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # a little faster, from Linux 6.6 on
            fcntl.ioctl(self._listener, _SET_FLAGS, struct.pack("=Q", _ON_THIS_PROCESSOR))
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        while not poll.poll()[0][1] & select.POLLHUP:
            buffer = bytearray(_QUESTION.size)
            try:
                fcntl.ioctl(self._listener, _RECEIVE, buffer)
                asked = _QUESTION.unpack(buffer)
                allowed = self._judge(asked)
                answer = (0, 0, _CONTINUE) if allowed else (0, -errno.EPERM, 0)
                fcntl.ioctl(self._listener, _SEND, _ANSWER.pack(asked[0], *answer))
            except OSError:
                continue  # Whoever asked was killed.
        os.close(self._listener)

    def _judge(self, asked: tuple[int, ...]) -> bool:
        identity, thread, _, number, _, _, *arguments = asked
        call = SYSCALLS[number]
        if not call.paths:
            own = call.name in ("kill", "tkill", "tgkill") and _is_own(thread, arguments[0])
            if not self._during or own:
                return True
            return self._refuse(call.name, ", ".join(map(hex, arguments[:3])))
        changes = call.changes
        if call.flags is not None:
            flags = arguments[call.flags]
            changes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
        looks = call.flags is None and not changes
        for where in call.paths:
            at = _signed(arguments[where.folder]) if where.folder is not None else _AT_FDCWD
            path = _read_path(thread, arguments[where.position], at)
            fcntl.ioctl(self._listener, _STILL_ASKED, struct.pack("=Q", identity))
            if path is None:
                continue  # The kernel will find as little there.
            if path.startswith(self._policy.marks):
                self._during = path.removeprefix(self._policy.marks).strip("/")
            elif self._during and not self._policy.allows(
                path, changes=changes, looks=looks, names=call.name in NAMES_ALONE
            ):
                return self._refuse(call.name, path + (" (to write)" if changes else ""))
        return True

    def _refuse(self, name: str, what: str) -> bool:
        self._breaches.append(Breach(self._during, name, what))
        return False


def _read_path(thread: int, address: int, folder: int) -> str | None:
    """The path at an address in another process, from the root on."""
    if not address:
        return None
    content = b""
    with open(f"/proc/{thread}/mem", "rb", buffering=0) as memory:
        # A page at a time: the next one may not be there.
        while b"\0" not in content and len(content) < _LONGEST:
            at = address + len(content)
            try:
                memory.seek(at)
                content += memory.read(4096 - at % 4096)
            except (OSError, OverflowError, ValueError):
                return None
    path = os.fsdecode(content.partition(b"\0")[0])
    for own in (f"/proc/{thread}/", f"/proc/{_process_of(thread)}/"):
        if path.startswith(own):
            return "/proc/self/" + path.removeprefix(own)
    if os.path.isabs(path):
        return path
    link = "cwd" if folder == _AT_FDCWD else f"fd/{folder}"
    with contextlib.suppress(OSError):
        return os.path.join(os.readlink(f"/proc/{thread}/{link}"), path)
    return None


def _is_own(thread: int, target: int) -> bool:
    return target in (thread, _process_of(thread))


def _process_of(thread: int) -> int:
    with contextlib.suppress(OSError), open(f"/proc/{thread}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("Tgid:"))
    return thread


def _signed(value: int) -> int:
    return struct.unpack("=i", struct.pack("=I", value & 0xFFFFFFFF))[0]
