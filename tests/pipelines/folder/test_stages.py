"""Stages overlap, keep the order, stay within their bounds, and pass errors on."""

import signal
import threading
import time

import pytest

from captioner.pipelines.folder.stages import defer_sigint, in_threads, ordered_parallel_map, prefetch


def test_results_keep_the_order_of_the_items():
    def slow_first(item):
        time.sleep(0.02 if item % 4 == 0 else 0)
        return item * 2

    assert list(in_threads(slow_first, range(20), workers=4, waiting=6)) == [2 * item for item in range(20)]


def test_threads_work_at_the_same_time():
    meeting = threading.Barrier(3, timeout=5)
    assert len(list(in_threads(lambda _: meeting.wait(), range(3), workers=3, waiting=3))) == 3


def test_no_more_items_are_taken_than_may_wait():
    taken = []

    def items():
        for item in range(100):
            taken.append(item)
            yield item

    results = in_threads(lambda item: item, items(), workers=2, waiting=5)
    next(results)
    assert len(taken) <= 7
    results.close()


def test_an_error_in_a_thread_is_raised_where_the_result_is_wanted():
    def work(item):
        if item == 2:
            raise ValueError("two")
        return item

    results = in_threads(work, range(5), workers=2, waiting=2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(results)


def test_items_are_computed_ahead_but_not_far():
    made = []

    def items():
        for item in range(10):
            made.append(item)
            yield item

    results = prefetch(items())
    assert next(results) == 0
    time.sleep(0.1)
    assert made == [0, 1, 2]
    assert list(results) == list(range(1, 10))


def test_an_error_ahead_comes_after_the_items_before_it():
    def items():
        yield 1
        raise ValueError("then")

    results = prefetch(items())
    assert next(results) == 1
    with pytest.raises(ValueError, match="then"):
        next(results)


def test_giving_up_stops_the_thread_ahead():
    stopped = threading.Event()

    def items():
        try:
            while True:
                yield 0
        finally:
            stopped.set()

    results = prefetch(items())
    next(results)
    results.close()
    assert stopped.wait(5)


def test_what_each_item_gives_comes_in_order():
    def slow_first(item):
        for part in range(item % 4):
            time.sleep(0.01 if item < 3 else 0)
            yield item, part

    found = list(ordered_parallel_map(slow_first, range(9), workers=3))
    assert found == [(item, part) for item in range(9) for part in range(item % 4)]


def test_items_with_many_results_are_worked_on_side_by_side_but_not_far_ahead():
    made = []
    meeting = threading.Barrier(2, timeout=5)

    def parts(item):
        meeting.wait()
        for part in range(100):
            made.append((item, part))
            yield part

    results = ordered_parallel_map(parts, range(4), workers=2, waiting=2)
    next(results)
    time.sleep(0.1)
    assert {item for item, _ in made} == {0, 1}
    assert len(made) <= 8
    results.close()


def test_a_slow_item_does_not_keep_the_other_workers_idle():
    ended = []

    def work(item):
        time.sleep(0.2 if item == 0 else 0.01)
        ended.append(item)
        yield item

    assert list(ordered_parallel_map(work, range(6), workers=2)) == list(range(6))
    assert ended.index(0) == 3


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_those_at_work_are_told_when_one_fails(error):
    ended = threading.Event()

    def work(item):
        if item == 0:
            raise error
        yield ended.wait(20)

    started = time.monotonic()
    with pytest.raises(error):
        list(ordered_parallel_map(work, range(4), workers=2, ended=ended))
    assert time.monotonic() - started < 10


def test_ctrl_c_waits_for_what_is_undivided():
    done = []

    def interrupted():
        with defer_sigint():
            signal.raise_signal(signal.SIGINT)
            done.append(1)
        done.append(2)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert done == [1]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_error_of_one_item_is_raised_after_the_results_before_it():
    def parts(item):
        yield item
        if item == 1:
            raise ValueError("one")

    results = ordered_parallel_map(parts, range(3), workers=2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="one"):
        next(results)


def test_closing_waits_for_what_is_in_hand():
    made = []

    def slow():
        for number in range(100):
            time.sleep(0.02)
            made.append(number)
            yield number

    items = prefetch(slow())
    assert next(items) == 0
    items.close()
    count = len(made)
    time.sleep(0.1)
    assert len(made) == count < 10
