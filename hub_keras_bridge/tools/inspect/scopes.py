"""The name scopes by which a module's variables are counted."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from hub_keras_bridge.tools.inspect.summary import ScopeSummary, VariableSummary

# A chart with more bars than this tells less.
_SCOPES = 12
# ... and one with a bar for nearly everything tells nothing.
_MOST = 0.9


def with_scopes(variables: Sequence[VariableSummary]) -> tuple[VariableSummary, ...]:
    """Puts each variable under its name scope, cut at a depth common to all.

    The depth is the greatest at which there are few scopes. Where one of these
    has nearly all parameters, a deeper cut that parts it says more.
    """
    paths = [variable.name.split("/")[:-1] for variable in variables]
    deepest = max(map(len, paths), default=0)

    def cut(depth: int) -> list[str]:
        return ["/".join(path[:depth]) for path in paths]

    # The deeper, the more and the smaller; a name may have any number of slashes.
    depths = range(deepest + 1)
    few = bisect_right(depths, _SCOPES, key=lambda depth: len(set(cut(depth)))) - 1
    telling = bisect_left(
        depths, True, lo=few, key=lambda depth: _largest_share(variables, cut(depth)) < _MOST
    )
    scopes = cut(telling if telling <= deepest else few)
    return tuple(replace(v, scope=scope) for v, scope in zip(variables, scopes, strict=True))


def _largest_share(variables: Sequence[VariableSummary], scopes: Sequence[str]) -> float:
    counts: Counter[str] = Counter()
    for variable, scope in zip(variables, scopes, strict=True):
        counts[scope] += variable.parameters
    return max(counts.values(), default=0) / max(sum(counts.values()), 1)


def scopes_of(variables: Iterable[VariableSummary]) -> tuple[ScopeSummary, ...]:
    """What the variables of each scope hold together, the biggest first."""
    members: dict[str, list[VariableSummary]] = {}
    for variable in variables:
        members.setdefault(variable.scope, []).append(variable)
    scopes = [
        ScopeSummary(
            name,
            variables=len(inside),
            parameters=sum(variable.parameters for variable in inside),
            trainable_parameters=sum(v.parameters for v in inside if v.trainable),
            bytes=sum(variable.bytes for variable in inside),
        )
        for name, inside in members.items()
    ]
    return tuple(sorted(scopes, key=lambda scope: -scope.parameters))
