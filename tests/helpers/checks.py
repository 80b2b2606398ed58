"""A check for every public name of a module: that it still does what it says."""

from __future__ import annotations

import inspect

import keras
import tensorflow as tf

VERSIONS = f"TensorFlow {tf.__version__}, Keras {keras.__version__}"


class Checks(dict):
    """What shows that the functions and classes of a module do what they say, by name.

    Args:
        module: the module, of whose names some version of a library may break one.
    """

    def __init__(self, module):
        super().__init__()
        self._module = module

    def of(self, *names):
        """Registers a function as the check of these names."""

        def register(check):
            self.update(dict.fromkeys(names, check))
            return check

        return register

    def unchecked(self):
        """The names of the module that have no check."""
        return {
            name
            for name, member in inspect.getmembers(self._module)
            if not name.startswith("_")
            and getattr(member, "__module__", None) == self._module.__name__
        } - self.keys()

    def run(self, name, folder):
        """Runs the check of a name; a failure says which versions broke it."""
        check = self[name]
        try:
            check(folder) if inspect.signature(check).parameters else check()
        except Exception as error:
            name = f"{self._module.__name__}.{name}"
            raise AssertionError(f"{name} does not hold with {VERSIONS}") from error
