"""Reads ahead of a loop and writes behind it, each in a thread that ends with the loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

# Batches that wait on either side of the loop: enough to even out ones of different lengths.
_WAITING = 2


@contextmanager
def ahead(items: Generator[T, None, None], count: int = _WAITING) -> Iterator[Iterator[T]]:
    """Items in their order, of which a thread makes the next ones meanwhile.

    What making one raises is raised in its place. The thread has ended and the generator is
    closed when the block ends, however it does.

    >>> with ahead(number**2 for number in range(4)) as squares:
    ...     list(squares)
    [0, 1, 4, 9]

    Args:
        items: runs in the thread alone. Where it waits for something that may never come,
            the block's end waits as well.
        count: how many may be ready, or in the making, before they are asked for.
    """
    end = object()
    thread = ThreadPoolExecutor(1, "hub_keras_bridge_read")
    waiting = deque(thread.submit(next, items, end) for _ in range(count))

    def taken() -> Iterator[T]:
        while (item := waiting.popleft().result()) is not end:
            waiting.append(thread.submit(next, items, end))
            yield item  # type: ignore[misc]  # next() returns an item or the end.

    try:
        yield taken()
    finally:
        thread.shutdown(cancel_futures=True)
        items.close()


@contextmanager
def behind(take: Callable[[T], object], count: int = _WAITING) -> Iterator[Callable[[T], None]]:
    """A function to give items to, which a thread takes one after the other.

    All are taken when the block ends, unless it fails. What taking one raises is raised by a
    later call or at the end of the block. The thread has ended then.

    >>> found = []
    >>> with behind(found.append) as put:
    ...     put(1)
    ...     put(2)
    >>> found
    [1, 2]

    Args:
        take: runs in the thread alone.
        count: how many may wait, or be being taken; with as many the function waits, too.
    """
    thread = ThreadPoolExecutor(1, "hub_keras_bridge_write")
    waiting: deque[Future[object]] = deque()

    def put(item: T) -> None:
        if len(waiting) == count:
            waiting.popleft().result()
        waiting.append(thread.submit(take, item))

    try:
        yield put
        while waiting:
            waiting.popleft().result()
    finally:
        thread.shutdown(cancel_futures=True)
