"""Reading ahead of a loop, and writing behind it."""

import threading

import pytest

from hub_keras_bridge.tools.apply.overlapping import ahead, behind

_SECONDS = 30


@pytest.fixture(autouse=True)
def _no_thread_lives_on():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


class Source:
    """Numbers; which were made, on which threads, and whether the generator was closed."""

    def __init__(self, count, broken_at=None):
        self.made = []
        self.threads = set()
        self.closed = False
        self.items = self._items(count, broken_at)
        self.reached = threading.Event()

    def _items(self, count, broken_at):
        try:
            for number in range(count):
                if number == broken_at:
                    raise ValueError(f"number {number} is broken")
                self.made.append(number)
                self.threads.add(threading.current_thread())
                if len(self.made) == 3:
                    self.reached.set()
                yield number
        finally:
            self.closed = True


def test_order_and_bound():
    source = Source(100)
    taken = []
    with ahead(source.items, 2) as items:
        for number in items:
            taken.append(number)
            assert len(source.made) <= number + 1 + 2
            # Two more are made while the loop is at the first.
            assert source.reached.wait(_SECONDS)
    assert taken == source.made == list(range(100))
    assert threading.current_thread() not in source.threads
    assert len(source.threads) == 1
    assert source.closed


def test_what_reading_raises_comes_in_its_place():
    source, taken = Source(10, broken_at=4), []

    def loop():
        with ahead(source.items) as items:
            for number in items:
                taken.append(number)

    with pytest.raises(ValueError, match="number 4 is broken"):
        loop()
    assert taken == [0, 1, 2, 3]
    assert source.closed


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_loop_that_is_left_early(error):
    source, kept = Source(1000), []

    def loop():
        with ahead(source.items) as items, behind(kept.append) as put:
            for number in items:
                put(number)
                if number == 5:
                    raise error

    with pytest.raises(error):
        loop()
    assert source.closed
    assert len(source.made) <= 8
    assert kept == list(range(len(kept)))


def test_all_is_taken_in_order_by_another_thread():
    taken, threads = [], set()

    def take(item):
        taken.append(item)
        threads.add(threading.current_thread())

    with behind(take) as put:
        for number in range(100):
            put(number)
    assert taken == list(range(100))
    assert threading.current_thread() not in threads
    assert len(threads) == 1


def test_a_bounded_number_waits():
    may_go, taken = threading.Event(), []

    def take(item):
        assert may_go.wait(_SECONDS)
        taken.append(item)

    with behind(take, 2) as put:
        put(0)
        put(1)
        third = threading.Thread(target=put, args=[2])
        third.start()
        third.join(0.05)
        assert third.is_alive()
        may_go.set()
        third.join(_SECONDS)
    assert taken == [0, 1, 2]


@pytest.mark.parametrize("broken_at", [3, 9])
def test_what_writing_raises_reaches_the_loop_or_the_end_of_the_block(broken_at):
    put_so_far = []

    def take(number):
        if number == broken_at:
            raise OSError(f"no space for {number}")

    def loop():
        with behind(take) as put:
            for number in range(10):
                put(number)
                put_so_far.append(number)

    with pytest.raises(OSError, match=f"no space for {broken_at}"):
        loop()
    assert len(put_so_far) <= broken_at + 3
