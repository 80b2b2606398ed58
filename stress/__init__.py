"""What breaks this package, or would: run with ``python -m stress``.

:mod:`stress.hostile` breaks modules on purpose, :mod:`stress.reaching` makes modules that
would reach outside, :mod:`stress.fuzz` feeds bytes to the readers, :mod:`stress.reliability`
kills, shares and repeats. A slice of each runs in the tests.
"""
