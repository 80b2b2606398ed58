"""Where the tests find what they compare with."""

import pathlib

TESTS = pathlib.Path(__file__).parent.parent
ROOT = TESTS.parent
GOLDEN = TESTS / "golden"
ZOO = GOLDEN / "zoo"
# Modules that others published; not part of the repository.
REAL = ROOT.parent / "shared" / "real"
