import threading
import time
from itertools import count

import pytest

from medlstm.lake.prefetch import mapped, prefetched


def test_mapped_keeps_the_order_whoever_is_done_first():
    def slow_first(number):
        time.sleep(0.05 if number == 0 else 0)
        return number * 10

    assert list(mapped(slow_first, range(7))) == [0, 10, 20, 30, 40, 50, 60]


def test_mapped_works_on_two_at_a_time():
    both = threading.Barrier(2, timeout=10)
    assert list(mapped(lambda _: both.wait() >= 0, range(4))) == [True] * 4


def test_mapped_takes_no_more_items_than_it_works_on():
    taken = []
    results = mapped(lambda number: number, (taken.append(number) or number for number in count()), workers=2)
    next(results)
    next(results)
    results.close()
    assert len(taken) == 4


@pytest.mark.parametrize("threaded", [prefetched, lambda items: mapped(lambda item: item, items)])
def test_an_error_of_the_items_is_raised(threaded):
    def broken():
        yield from range(3)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        list(threaded(broken()))


def test_an_error_of_the_work_is_raised_in_its_place():
    results = mapped(lambda number: 1 / (number - 2), range(5))
    assert next(results) == -0.5
    assert next(results) == -1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_prefetched_makes_items_ahead_of_their_use():
    made = threading.Event()

    def items():
        yield 1
        made.set()
        yield 2

    ahead = prefetched(items())
    assert next(ahead) == 1
    assert made.wait(10)
    assert list(ahead) == [2]


def test_no_thread_is_left_when_only_some_items_are_used():
    before = threading.active_count()
    for threaded in (prefetched(iter(range(100))), mapped(lambda number: number, range(100))):
        next(threaded)
        threaded.close()
    assert threading.active_count() == before
