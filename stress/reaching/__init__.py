"""Modules that try to reach outside, and whether safe mode holds.

A mutant is a good module whose graph was changed as an attacker would: an op
that safe mode refuses is put where loading, calling or training might run it,
names and attributes mislead, objects of TensorFlow 2 lead elsewhere. Worker
processes take each by every route in safe mode, and an oracle sees what they reach:
system calls that the kernel asks about first (:mod:`watch`), or, where it does
not, one folder and one port (:mod:`canary`).

``stress.hostile`` breaks modules in other ways, and looks at other things.
"""

from stress.reaching.report import add_arguments, run

__all__ = ["add_arguments", "run"]
