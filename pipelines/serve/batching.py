"""Requests' files wait in one bounded queue, and threads take those that can be done together.

A thread that is free waits a few milliseconds after a file came, so that files which come at the same time share the
CNN's and the search's calls. It takes its share of what waits, so that other free threads have work too.
"""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from captioner.pipelines.folder.outputs import Record
from captioner.pipelines.folder.progress import Meter

log = logging.getLogger(__name__)

WAIT = 0.005
"""Seconds from a file's coming to its being taken, at least: a share of the 10 ms that one photo takes, not tuned."""
LARGEST = 32  # files taken at a time: as many as the folder pipeline's first groups


def silent_meter() -> Meter:
    """For work whose progress nobody watches."""
    return Meter(0, "files", Console(quiet=True), quiet=True)


class FullError(Exception):
    """The queue has no room.

    Attributes:
        seconds: until it may have.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(f"full for about {seconds} s")
        self.seconds = seconds


@dataclass(eq=False)
class Item:
    """Something to be done.

    Attributes:
        key: items with equal keys can be done together.
        payload: what is to be done: a path, or a row of text.
        answer: its record, once it is there; cancelled where nobody waits for it any more.
        arrived: when it came, in seconds.
    """

    key: Hashable
    payload: Any
    answer: "Future[Record]" = field(default_factory=Future)
    arrived: float = field(default_factory=time.monotonic)


class Batcher:
    """A bounded queue and the threads that empty it.

    Args:
        work: does items of one key and sets their answers.
        workers: threads.
        capacity: items that may wait.
        wait: seconds from an item's coming to its being taken, at least.
        on_batch: is told the size and the seconds of each batch.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], None],
        *,
        workers: int,
        capacity: int,
        wait: float = WAIT,
        on_batch: Callable[[int, float], None] = lambda size, seconds: None,
    ) -> None:
        self._work, self._workers, self._capacity, self._wait = work, workers, capacity, wait
        self._on_batch = on_batch
        self._waiting: deque[Item] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._free = workers  # threads that do nothing
        self._seconds = 0.05  # an item, lately; only for telling who comes too many when to come again
        self._threads = [threading.Thread(target=self._run, name=f"serve-{n}", daemon=True) for n in range(workers)]
        for thread in self._threads:
            thread.start()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def submit(self, key: Hashable, payloads: Sequence[Any]) -> list["Future[Record]"]:
        """Take things to be done, all or none.

        Raises:
            FullError: there is no room for all.
        """
        with self._changed:
            if len(self._waiting) + len(payloads) > self._capacity:
                self._waiting = deque(item for item in self._waiting if not item.answer.cancelled())
            if self._closed or len(self._waiting) + len(payloads) > self._capacity:
                raise FullError(min(60, max(1, math.ceil(len(self._waiting) * self._seconds / self._workers))))
            items = [Item(key, payload) for payload in payloads]
            self._waiting += items
            self._changed.notify_all()
        return [item.answer for item in items]

    def close(self) -> None:
        """Do what waits, and take nothing more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while batch := self._take():
            if todo := [item for item in batch if item.answer.set_running_or_notify_cancel()]:
                self._do(todo)
            with self._changed:
                self._free += 1

    def _do(self, todo: Sequence[Item]) -> None:
        started = time.monotonic()
        try:
            self._work(todo)
        except Exception as error:  # whatever it is, the thread must live and somebody waits
            log.exception("a batch failed")
            for item in todo:
                if not item.answer.done():
                    item.answer.set_exception(error)
        taken = time.monotonic() - started
        self._seconds += 0.2 * (taken / len(todo) - self._seconds)
        self._on_batch(len(todo), taken)

    def _take(self) -> list[Item]:
        """The next items, all of one key; none when there will be no more."""
        with self._changed:
            while True:
                if not self._waiting:
                    if self._closed:
                        return []
                    self._changed.wait()
                    continue
                first = self._waiting[0]
                same = [item for item in self._waiting if item.key == first.key]
                left = first.arrived + self._wait - time.monotonic()
                if left > 0 and len(same) < LARGEST and not self._closed:
                    self._changed.wait(left)
                    continue
                batch = same[: min(LARGEST, math.ceil(len(same) / self._free))]
                self._free -= 1
                taken = set(map(id, batch))
                self._waiting = deque(item for item in self._waiting if id(item) not in taken)
                return batch
