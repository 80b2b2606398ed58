"""What lasts: faults while writing, many at once, long runs, runs that repeat, mutants.

Every figure is of processes of its own, since a fault is a process that is
killed, memory is a process's, and what TensorFlow is told to do deterministically
it does for good.
"""

from stress.reliability.report import add_arguments, run

__all__ = ["add_arguments", "run"]
