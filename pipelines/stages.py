"""Stages of a pipeline that run at the same time, with little waiting between them, so that memory stays bounded."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], *, workers: int, waiting: int
) -> Generator[Result, None, None]:
    """Results of `work` in the order of `items`, computed by threads that are at most `waiting` items ahead."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="load")
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > waiting:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def ahead(items: Iterable[Item], waiting: int = 1) -> Generator[Item, None, None]:
    """The same items, computed in a thread of their own that is at most `waiting` (and the one in hand) ahead."""
    source = _Ahead(items, waiting)
    try:
        yield from source
    finally:
        source.stop()


def side_by_side(
    work: Callable[[Item], Iterable[Result]], items: Iterable[Item], *, workers: int, waiting: int = 1
) -> Generator[Result, None, None]:
    """All that `work` gives of each item, in order, computed for `workers` items at a time.

    Each is at most `waiting` results ahead, so that memory stays bounded however many results an item has.
    """
    todo = iter(items)
    running: deque[_Ahead[Result]] = deque()
    try:
        while True:
            for item in islice(todo, workers - len(running)):
                running.append(_Ahead(work(item), waiting))
            if not running:
                return
            yield from running[0]
            running.popleft().stop()
    finally:
        for source in running:
            source.stop()


class _Ahead(Generic[Item]):
    """Items computed in a thread that has begun."""

    def __init__(self, items: Iterable[Item], waiting: int) -> None:
        self.items = items
        self.ready: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(waiting)
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, name="ahead", daemon=True)
        self.thread.start()

    def __iter__(self) -> Iterator[Item]:
        while True:
            item, error = self.ready.get()
            if isinstance(error, _End):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]

    def stop(self) -> None:
        """Compute no more, and wait for what is in hand: Python aborts if it ends while a thread is in a library."""
        self.stopped.set()
        if threading.current_thread() is not self.thread:  # garbage may be collected anywhere
            self.thread.join()

    def _run(self) -> None:
        try:
            for item in self.items:
                self._put(item, None)
                if self.stopped.is_set():
                    return
            self._put(None, _End())
        except BaseException as error:  # raised again where the items are wanted
            self._put(None, error)

    def _put(self, item: Item | None, error: BaseException | None) -> None:
        while not self.stopped.is_set():
            try:
                return self.ready.put((item, error), timeout=0.1)
            except queue.Full:
                continue


class _End(BaseException):
    """No more items."""
