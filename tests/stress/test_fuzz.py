"""What the fuzzer of the readers kept: each is read, or refused in words."""

import pytest

from stress.fuzz import CORPUS, READERS


@pytest.mark.parametrize("name", READERS)
def test_the_corpus(name):
    read = READERS[name]()
    files = sorted((CORPUS / name.replace(" ", "_")).iterdir())
    assert files
    for file in files:
        read(file.read_bytes())
