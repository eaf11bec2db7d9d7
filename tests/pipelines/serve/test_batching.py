"""What waits is done together, in bounded number, and not at all once nobody waits for it."""

import threading
import time

import pytest

from captioner.pipelines.folder.outputs import Record
from captioner.pipelines.serve.batching import Batcher, FullError


class Work:
    """Remembers the batches that it is given; holds them until told to go on."""

    def __init__(self):
        self.batches, self.go, self.begun = [], threading.Event(), threading.Event()

    def __call__(self, items):
        self.batches.append([item.payload for item in items])
        self.begun.set()
        assert self.go.wait(10)
        for item in items:
            item.answer.set_result(Record(item.payload))


@pytest.fixture
def work():
    return Work()


@pytest.fixture
def make(work):
    made = []

    def make(**options):
        made.append(Batcher(options.pop("work", work), **{"workers": 1, "capacity": 8, **options}))
        return made[-1]

    yield make
    work.go.set()
    for batcher in made:
        batcher.close()


def occupy(batcher, work):
    """Keep a thread busy."""
    first = batcher.submit("busy", ["busy"])
    assert work.begun.wait(10)
    return first


def test_what_comes_while_a_thread_is_busy_is_done_together_by_its_key(make, work):
    batcher = make()
    occupy(batcher, work)
    answers = batcher.submit("a", ["1", "2"]) + batcher.submit("b", ["3"]) + batcher.submit("a", ["4"])
    work.go.set()
    assert [answer.result(10).path for answer in answers] == ["1", "2", "3", "4"]
    assert work.batches == [["busy"], ["1", "2", "4"], ["3"]]


def test_a_thread_waits_a_moment_for_what_comes_at_the_same_time(make, work):
    work.go.set()
    batcher = make(wait=0.3)
    answers = batcher.submit("a", ["1"]) + batcher.submit("a", ["2"])
    assert [answer.result(10).path for answer in answers] == ["1", "2"]
    assert work.batches == [["1", "2"]]


def test_threads_share_what_waits(make, work):
    batcher = make(workers=2, wait=0.1)
    batcher.submit("a", ["1", "2", "3", "4"])
    until = time.monotonic() + 10
    while len(work.batches) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert work.batches == [["1", "2"], ["3", "4"]]


def test_a_thread_takes_all_that_waits_when_the_others_are_busy(make, work):
    batcher = make(workers=2)
    occupy(batcher, work)
    batcher.submit("a", ["1", "2", "3", "4"])
    until = time.monotonic() + 10
    while len(work.batches) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert work.batches == [["busy"], ["1", "2", "3", "4"]]


def test_more_than_may_wait_is_refused_whole(make, work):
    batcher = make(capacity=2)
    occupy(batcher, work)
    with pytest.raises(FullError) as full:
        batcher.submit("a", ["1", "2", "3"])
    assert full.value.seconds >= 1
    assert len(batcher) == 0
    batcher.submit("a", ["1", "2"])


def test_what_nobody_waits_for_is_not_done_and_makes_room(make, work):
    batcher = make(capacity=1)
    occupy(batcher, work)
    batcher.submit("a", ["left"])[0].cancel()
    answer = batcher.submit("a", ["stayed"])[0]
    work.go.set()
    assert answer.result(10).path == "stayed"
    assert work.batches == [["busy"], ["stayed"]]


def test_a_failure_reaches_who_waits_and_the_next_is_done(make):
    calls = []

    def fail_once(items):
        calls.append(items)
        if len(calls) == 1:
            raise ZeroDivisionError
        items[0].answer.set_result(Record("well"))

    batcher = make(work=fail_once)
    with pytest.raises(ZeroDivisionError):
        batcher.submit("a", ["1"])[0].result(10)
    assert batcher.submit("a", ["2"])[0].result(10).path == "well"


def test_closing_does_what_waits_and_takes_nothing_more(make, work):
    batcher = make()
    occupy(batcher, work)
    answer = batcher.submit("a", ["1"])[0]
    closing = threading.Thread(target=batcher.close)
    closing.start()
    work.go.set()
    closing.join(10)
    assert answer.result(0).path == "1"
    with pytest.raises(FullError):
        batcher.submit("a", ["2"])
