"""Mutants: modules broken on purpose, and what the package makes of them.

A mutant is a copy of a whole module with one to three changes, drawn from a
seed and a number, so that one command makes it again. Worker processes read,
load, call and export it, in Keras and in a TF1 graph; a watchdog ends those
that take too long or too much, and notes where they were.

Each mutant ends in one of these ways:

- refused: an error of the family, which names the module and what was found;
- computed: every step came to its end;
- TensorFlow's own error while computing: the graph was imported, its variables
  restored and its tables filled; then an op failed on the values that met
  there. That may be the caller's input as well as the graph, and to look at
  every call for it would slow all of them. What a session raises when its
  owner runs it counts here too, restoring included, since no code of the
  package is running then;
- computing without end: a loop whose condition was changed to stay true is a
  program like another. Importing, restoring or exporting without end is not;
- or it is a finding: the process died, hung or took too much memory; an error
  that is not of the family, or that names no module; a file outside its place.
"""

from stress.hostile.report import add_arguments, run

__all__ = ["add_arguments", "run"]
