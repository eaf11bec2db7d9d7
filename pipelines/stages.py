"""Stages of a pipeline that run at the same time, with little waiting between them, so that memory stays bounded."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], *, workers: int, waiting: int
) -> Iterator[Result]:
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


def ahead(items: Iterable[Item], waiting: int = 1) -> Iterator[Item]:
    """The same items, computed in a thread of their own that is at most `waiting` (and the one in hand) ahead."""
    ready: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(waiting)
    stopped = threading.Event()

    def put(item: Item | None, error: BaseException | None) -> None:
        while not stopped.is_set():
            try:
                return ready.put((item, error), timeout=0.1)
            except queue.Full:
                continue

    def run() -> None:
        try:
            for item in items:
                put(item, None)
                if stopped.is_set():
                    return
            put(None, _End())
        except BaseException as error:  # raised again where the items are wanted
            put(None, error)

    threading.Thread(target=run, name="ahead", daemon=True).start()
    try:
        while True:
            item, error = ready.get()
            if isinstance(error, _End):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
    finally:
        stopped.set()


class _End(BaseException):
    """No more items."""
