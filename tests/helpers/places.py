"""Where the tests find what they compare with."""

import os
import pathlib

import pytest

TESTS = pathlib.Path(__file__).parent.parent
ROOT = TESTS.parent
GOLDEN = TESTS / "golden"
ZOO = GOLDEN / "zoo"

# DeepMind's module, whose parameters have a licence of their own (CC BY 4.0), so that it is not
# part of the repository; and beside it what the original library computed with it.
DM21 = pathlib.Path(os.environ.get("DM21_MODULE", ROOT.parent / "shared" / "real" / "dm21"))
DM21_ORACLE = DM21.parent / "dm21_oracle.npz"

needs_dm21 = pytest.mark.skipif(
    not (DM21.is_dir() and DM21_ORACLE.is_file()),
    reason="needs DeepMind's DM21, its folder in DM21_MODULE, and dm21_oracle.npz beside that",
)
