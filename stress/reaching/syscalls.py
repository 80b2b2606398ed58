"""System calls by which a process reaches files, sockets and other processes.

Numbers are those of Linux on x86-64 (arch/x86/entry/syscalls/syscall_64.tbl),
which stay for good.
"""

from __future__ import annotations

from typing import NamedTuple


class Path(NamedTuple):
    """Where a path stands among a call's arguments.

    Attributes:
        position: of the pointer to it.
        folder: position of the descriptor that it is relative to; None for the
            current folder.
    """

    position: int
    folder: int | None = None


class Syscall(NamedTuple):
    """One system call.

    Attributes:
        name: in the manual.
        paths: its paths; without any, the call itself reaches outside.
        changes: whether what the paths lead to is changed. Of ``open`` that depends.
        flags: position of the flags of an ``open``.
    """

    name: str
    paths: tuple[Path, ...] = ()
    changes: bool = False
    flags: int | None = None


def _at(position: int = 1) -> Path:
    return Path(position, position - 1)


_ONE, _ONE_AT = (Path(0),), (_at(),)

SYSCALLS = {
    2: Syscall("open", _ONE, flags=1),
    257: Syscall("openat", _ONE_AT, flags=2),
    # Looking whether something is there.
    4: Syscall("stat", _ONE),
    6: Syscall("lstat", _ONE),
    21: Syscall("access", _ONE),
    89: Syscall("readlink", _ONE),
    137: Syscall("statfs", _ONE),
    262: Syscall("newfstatat", _ONE_AT),
    267: Syscall("readlinkat", _ONE_AT),
    269: Syscall("faccessat", _ONE_AT),
    332: Syscall("statx", _ONE_AT),
    439: Syscall("faccessat2", _ONE_AT),
    191: Syscall("getxattr", _ONE),
    80: Syscall("chdir", _ONE),
    # Changing it.
    76: Syscall("truncate", _ONE, changes=True),
    82: Syscall("rename", (Path(0), Path(1)), changes=True),
    83: Syscall("mkdir", _ONE, changes=True),
    84: Syscall("rmdir", _ONE, changes=True),
    85: Syscall("creat", _ONE, changes=True),
    86: Syscall("link", (Path(0), Path(1)), changes=True),
    87: Syscall("unlink", _ONE, changes=True),
    88: Syscall("symlink", (Path(1),), changes=True),
    90: Syscall("chmod", _ONE, changes=True),
    92: Syscall("chown", _ONE, changes=True),
    94: Syscall("lchown", _ONE, changes=True),
    132: Syscall("utime", _ONE, changes=True),
    133: Syscall("mknod", _ONE, changes=True),
    188: Syscall("setxattr", _ONE, changes=True),
    235: Syscall("utimes", _ONE, changes=True),
    258: Syscall("mkdirat", _ONE_AT, changes=True),
    259: Syscall("mknodat", _ONE_AT, changes=True),
    260: Syscall("fchownat", _ONE_AT, changes=True),
    263: Syscall("unlinkat", _ONE_AT, changes=True),
    264: Syscall("renameat", (_at(1), _at(3)), changes=True),
    265: Syscall("linkat", (_at(1), _at(3)), changes=True),
    266: Syscall("symlinkat", (_at(2),), changes=True),
    268: Syscall("fchmodat", _ONE_AT, changes=True),
    316: Syscall("renameat2", (_at(1), _at(3)), changes=True),
    # Other processes and machines, and ways around this list.
    29: Syscall("shmget"),
    41: Syscall("socket"),
    42: Syscall("connect"),
    49: Syscall("bind"),
    53: Syscall("socketpair"),
    57: Syscall("fork"),
    58: Syscall("vfork"),
    56: Syscall("clone"),  # of a process; a thread is let
    59: Syscall("execve"),
    62: Syscall("kill"),
    101: Syscall("ptrace"),
    161: Syscall("chroot"),
    165: Syscall("mount"),
    200: Syscall("tkill"),
    234: Syscall("tgkill"),
    240: Syscall("mq_open"),
    248: Syscall("add_key"),
    272: Syscall("unshare"),
    298: Syscall("perf_event_open"),
    304: Syscall("open_by_handle_at"),
    308: Syscall("setns"),
    310: Syscall("process_vm_readv"),
    311: Syscall("process_vm_writev"),
    321: Syscall("bpf"),
    322: Syscall("execveat"),
    323: Syscall("userfaultfd"),
    424: Syscall("pidfd_send_signal"),
    425: Syscall("io_uring_setup"),
    434: Syscall("pidfd_open"),
    437: Syscall("openat2"),  # its flags are behind a pointer; nobody here uses it
    438: Syscall("pidfd_getfd"),
}

# What has its flags behind a pointer, so that a filter cannot tell threads from
# processes: glibc takes clone where the kernel says that it lacks clone3.
CLONE3 = 435
CLONE = 56
CLONE_THREAD = 0x10000
NEWFSTATAT = 262
AT_EMPTY_PATH = 0x1000

# Calls that make, move or remove a name, and follow no link that stands there.
NAMES_ALONE = frozenset(
    {"link", "linkat", "mkdir", "mkdirat", "rename", "renameat", "renameat2", "rmdir"}
    | {"symlink", "symlinkat", "unlink", "unlinkat"}
)
