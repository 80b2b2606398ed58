"""What a caller trusts a module's publisher with, beyond computing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from hub_keras_bridge.errors import InputError


@dataclass(frozen=True)
class Trust:
    """The ops that may reach outside their module.

    Attributes:
        ops: names of ops, as an audit tells them.
        everything: whether any may; nothing is looked at then.
    """

    ops: frozenset[str] = frozenset()
    everything: bool = False

    @classmethod
    def of(cls, safe_mode: bool, trusted_ops: Collection[str] = ()) -> Trust:
        """What the two arguments of a public function say.

        Raises:
            InputError: ``trusted_ops`` is no collection of names.

        >>> Trust.of(True, {"ReadFile"}).takes("ReadFile"), Trust.of(True).takes("ReadFile")
        (True, False)
        """
        are_several = isinstance(trusted_ops, Iterable) and not isinstance(trusted_ops, str)
        ops = list(trusted_ops) if are_several else [None]
        if not all(isinstance(op, str) for op in ops):
            raise InputError(
                "Cannot trust these ops of a TF1 Hub module.",
                expected="a collection of names of ops, such as trusted_ops={'ReadFile'}",
                found=repr(trusted_ops),
                advice="pass a set of the names that an audit or an UnsafeModuleError tells",
            )
        return cls(frozenset(map(str, ops)), everything=not safe_mode)

    def to_config(self) -> dict[str, Any]:
        """The two arguments again, ready for JSON."""
        ops = {"trusted_ops": sorted(self.ops)} if self.ops else {}
        return {"safe_mode": not self.everything, **ops}

    def takes(self, op: str) -> bool:
        """Whether an op may reach outside."""
        return self.everything or op in self.ops


EVERYTHING = Trust(everything=True)

_granted: ContextVar[frozenset[str]] = ContextVar("trusted_ops", default=frozenset())


@contextmanager
def granting(ops: Collection[str]) -> Iterator[None]:
    """Lets layers that Keras makes in the block out of an archive trust some ops."""
    before = _granted.set(frozenset(ops))
    try:
        yield
    finally:
        _granted.reset(before)


def granted() -> frozenset[str]:
    """What a layer out of an archive may trust: what the caller said, not the archive."""
    return _granted.get()
