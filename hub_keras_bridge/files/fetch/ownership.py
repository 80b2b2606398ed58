"""Who else may change what lies in a folder: a module is a program.

Trusted are who runs this process, root, and whom ``HUB_KERAS_BRIDGE_CACHE_OWNERS``
names. All others count as strangers, and where the operating system knows no owners,
nobody does.
"""

from __future__ import annotations

import functools
import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import suppress

try:
    import grp
    import pwd
except ImportError:  # On Windows.
    pass

VARIABLE = "HUB_KERAS_BRIDGE_CACHE_OWNERS"
_HAS_OWNERS = hasattr(os, "geteuid")


def trusted_users() -> set[int]:
    """The numbers of the users whose files are taken.

    A name that this machine does not know stands for nobody.
    """
    found = {0, os.geteuid()}
    for name in os.environ.get(VARIABLE, "").replace(",", " ").split():
        try:
            found.add(int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid)
        except KeyError:
            continue
    return found


def who_may_write(status: os.stat_result, trusted: set[int], own_groups: set[int]) -> str | None:
    """Who else than trusted users may change a folder; None if nobody.

    Args:
        status: of the folder.
        trusted: numbers of users.
        own_groups: numbers of groups that have no other members.

    >>> shared = os.stat_result((0o040775, 1, 1, 2, 987654, 987655, 0, 0, 0, 0))
    >>> who_may_write(shared, {0}, set())
    'user 987654'
    >>> who_may_write(shared, {0, 987654}, set()), who_may_write(shared, {0, 987654}, {987655})
    ('group 987655', None)
    """
    if status.st_uid not in trusted:
        return f"user {_name_of_user(status.st_uid)}"
    if status.st_mode & stat.S_IWOTH:
        return "anybody"
    if status.st_mode & stat.S_IWGRP and status.st_gid not in own_groups:
        return f"group {_name_of_group(status.st_gid)}"
    return None


def who_may_replace(module: str) -> str | None:
    """Who else may put a module in a place, or beside it; None if nobody.

    The folders above count, too, and those that a link on the way leads to.

    Args:
        module: the path of its folder in the cache; what of it is not there is not
            looked at.

    Returns:
        Who, and where, for messages.
    """
    if not _HAS_OWNERS:
        return None
    trusted, own_groups = trusted_users(), _own_groups(os.geteuid(), os.getegid())
    ways = [_upwards(os.path.abspath(module)), _upwards(os.path.realpath(module))]
    # Who may add to the cache may plant a module; to folders above, only if what is
    # there can be replaced.
    cache = {path for way in ways for path in way[:2]}
    for path in dict.fromkeys(itertools.chain(*ways)):
        try:
            status = os.lstat(path)
        except OSError:
            continue
        others = who_may_write(status, trusted, own_groups)
        if status.st_uid in trusted and (
            stat.S_ISLNK(status.st_mode) or (status.st_mode & stat.S_ISVTX and path not in cache)
        ):
            continue
        if others:
            return f"{others}, at {path}"
    return None


def stranger_in(path: str) -> str | None:
    """Whose else a file or folder is, or something in it; None if nobody's.

    Of a link, both count: whose it is, and whose what it leads to.
    """
    if not _HAS_OWNERS:
        return None
    trusted = trusted_users()
    for each in _all_in(path):
        for follow in (False, True):
            with suppress(FileNotFoundError):
                owner = os.stat(each, follow_symlinks=follow).st_uid
                if owner not in trusted:
                    return f"user {_name_of_user(owner)}, at {each}"
    return None


@functools.cache
def _own_groups(user: int, group: int) -> set[int]:
    """Groups that give nobody else a right: root's, and one that is the user's alone.

    Many systems make a group for each user, of the same name, and let it write.
    """
    try:
        name, facts = pwd.getpwuid(user).pw_name, grp.getgrgid(group)
    except KeyError:
        return {0}
    is_own = facts.gr_name == name and set(facts.gr_mem) <= {name}
    return {0, group} if is_own else {0}


def _upwards(path: str) -> list[str]:
    """A path and the folders above it."""
    found = [path]
    while (above := os.path.dirname(path)) != path:
        found.append(path := above)
    return found


def _all_in(path: str) -> Iterator[str]:
    """A file or folder and all in it, through links, each folder once."""
    yield path
    seen = set()
    for inside, folders, names in os.walk(path, followlinks=True):
        status = os.stat(inside)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        for name in (*folders, *names):
            yield os.path.join(inside, name)


def _name_of_user(number: int) -> str:
    try:
        return f"{number} ({pwd.getpwuid(number).pw_name})"
    except KeyError:
        return str(number)


def _name_of_group(number: int) -> str:
    try:
        return f"{number} ({grp.getgrgid(number).gr_name})"
    except KeyError:
        return str(number)
