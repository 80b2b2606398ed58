"""Facts in words."""

import pytest

from hub_keras_bridge.errors.words import alike, legible, show_bytes, show_share, show_variants


def test_what_can_be_seen_stays():
    for text in ("dense_1/kernel:0", "größe", "重み", "a b", "tensor_dict$rho", "\\x1b"):
        assert legible(text) == text


@pytest.mark.parametrize(
    ("char", "shown"),
    [
        ("\x1b", r"\x1b"),
        ("\n", r"\n"),
        ("\x9b", r"\x9b"),  # the escape sequence's beginning in one letter
        ("\u200b", r"\u200b"),
        ("\u202e", r"\u202e"),
        ("\u2028", r"\u2028"),
        ("\ufeff", r"\ufeff"),
        ("\U000e0041", r"\U000e0041"),
        ("\udcff", r"\udcff"),  # a byte of a file name that is no UTF-8
    ],
)
def test_what_cannot_be_seen_is_spelled_out(char, shown):
    assert legible(f"a{char}b") == f"a{shown}b"


def test_nothing_that_a_terminal_obeys_is_left():
    assert legible("".join(map(chr, range(0x3000)))).isprintable()


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (1_606_668, "1.6 MB"), (2 * 10**9, "2.0 GB"), (3 * 10**15, "3,000.0 TB")],
)
def test_sizes(count, shown):
    assert show_bytes(count) == shown


def test_shares_say_all_and_nothing_only_of_all_and_nothing():
    assert show_share(10**6 - 1, 10**6) == "> 99.9 %"
    assert show_share(10**6, 10**6) == "100 %"
    assert show_share(1, 10**6) == "< 0.1 %"
    assert show_share(0, 10**6) == "0 %"


def test_variants_with_a_hostile_tag():
    assert show_variants([["\x1b[2J"]], of=2) == r"variant {'\x1b[2J'}"


def test_alike_keeps_the_order():
    assert alike([(1, "b"), (2, "a"), (3, "b")]) == [([1, 3], "b"), ([2], "a")]
