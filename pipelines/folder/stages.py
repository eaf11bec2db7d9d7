"""Stages of a pipeline that run at the same time, with little waiting between them, so that memory stays bounded."""

import queue
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any, Generic, TypeVar

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


def prefetch(items: Iterable[Item], waiting: int = 1) -> Generator[Item, None, None]:
    """The same items, computed in a thread of their own that is at most `waiting` (and the one in hand) ahead."""
    source = _Prefetched(lambda: items, waiting)
    thread = threading.Thread(target=source.run, name="ahead", daemon=True)
    thread.start()
    try:
        yield from source
    finally:
        source.stop()
        if threading.current_thread() is not thread:  # garbage may be collected anywhere
            thread.join()  # Python aborts if it ends while a thread is in a library


def ordered_parallel_map(
    work: Callable[[Item], Iterable[Result]],
    items: Iterable[Item],
    *,
    workers: int,
    waiting: int = 1,
    ended: threading.Event | None = None,
) -> Generator[Result, None, None]:
    """All that `work` gives of each item, in order, computed for `workers` items at a time.

    Each is at most `waiting` results ahead, and as many items again may be finished and wait for those before them, so
    that memory stays bounded however many results an item has.

    Args:
        work: done in threads.
        items: to be worked on.
        workers: threads.
        waiting: results that an item may be ahead, besides the one in hand.
        ended: is set when no more results are wanted, whatever the reason, and before waiting for what is in hand.
    """
    ended = ended or threading.Event()
    todo = iter(items)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="work")
    begun: deque[_Prefetched[Result]] = deque()
    try:
        while True:
            for item in islice(todo, 2 * workers - len(begun)):
                begun.append(_Prefetched(partial(work, item), waiting))
                pool.submit(begun[-1].run)
            if not begun:
                return
            yield from begun[0]
            begun.popleft()
    finally:
        ended.set()
        for source in begun:
            source.stop()
        pool.shutdown(cancel_futures=True)


def halve_on_oom(work: Callable[[Any], Result], batch: Any) -> list[Result]:
    """Results of `work` on a batch, or on its halves, quarters and so on where the GPU's memory does not hold it."""
    try:
        return [work(batch)]
    except RuntimeError as error:
        import torch  # takes longer to import than all that is above

        if not isinstance(error, torch.cuda.OutOfMemoryError):
            raise
        if len(batch) == 1:
            raise
    torch.cuda.empty_cache()
    half = len(batch) // 2
    return halve_on_oom(work, batch[:half]) + halve_on_oom(work, batch[half:])


@contextmanager
def defer_sigint() -> Iterator[None]:
    """Ctrl-C takes effect after what stands in this, so that what belongs together is done together."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is None:
        yield  # Python allows handlers to be changed in the main thread only
        return
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed and callable(before):
        before(pressed[0], None)


class _Prefetched(Generic[Item]):
    """Items that another thread computes by `run`; it may be `waiting` (and the one in hand) ahead."""

    def __init__(self, make: Callable[[], Iterable[Item]], waiting: int) -> None:
        self.make = make
        self.ready: queue.SimpleQueue[tuple[Item | None, BaseException | None]] = queue.SimpleQueue()
        self.room = threading.Semaphore(waiting)
        self.stopped = threading.Event()

    def __iter__(self) -> Iterator[Item]:
        while True:
            item, error = self.ready.get()
            if isinstance(error, _End):
                return
            if error is not None:
                raise error
            self.room.release()
            yield item  # type: ignore[misc]

    def stop(self) -> None:
        """Compute no more than what is in hand."""
        self.stopped.set()
        self.room.release()

    def run(self) -> None:
        """Compute; whatever ends this is raised again where the items are wanted."""
        end: BaseException = _End()
        if self.stopped.is_set():
            return
        try:
            for item in self.make():
                self.room.acquire()
                if self.stopped.is_set():
                    return
                self.ready.put((item, None))
        except BaseException as error:
            end = error
        self.ready.put((None, end))


class _End(BaseException):
    """No more items."""
