from __future__ import annotations

import gc
import signal
import sys
import threading

import pytest
from support.tools import balanced, record, text_record, tool

from bamboo_logmetrics.options import OnFull
from bamboo_logmetrics.pipeline.channel import Channel
from bamboo_logmetrics.record.packed import SLOT
from bamboo_logmetrics.record.queued import Ack
from bamboo_logmetrics.testing import ManualClock


class Wakeup:
    """Stands for the worker: counts how often it is woken."""

    def __init__(self, *, answers=True):
        self.count = 0
        self.answers = answers

    def __call__(self):
        self.count += 1
        return self.answers


def take(channel, most=9):
    """Return the records that the channel gives."""
    taken = []
    channel.take(most, taken)
    return taken


def make(
    capacity=10,
    on_full=OnFull.DROP_NEWEST,
    *,
    capacity_bytes=2**40,
    wakeup=None,
    clock=None,
    block_timeout=5.0,
    in_step=lambda: False,
):
    return Channel(
        in_step=in_step,
        capacity=capacity,
        capacity_bytes=capacity_bytes,
        on_full=on_full,
        block_timeout=block_timeout,
        clock=clock or ManualClock(),
        wake=wakeup or Wakeup(),
    )


def ids(records):
    return [item.event.tool_call_id for item in records]


def test_records_come_out_in_order():
    """Records come out in the order in which they were put, and no more than asked for."""
    channel = make()
    assert all(channel.put(record(tool(n))) for n in range(5))
    assert ids(take(channel, 3)) == ["c0", "c1", "c2"]
    assert ids(take(channel)) == ["c3", "c4"]
    assert take(channel) == []


def test_the_capacity_holds_exactly():
    """Of capacity + 7 records, 7 are refused and counted."""
    channel = make(10)
    answers = [channel.put(record(tool(n))) for n in range(17)]
    assert answers == [True] * 10 + [False] * 7
    assert channel.stats().dropped == {"queue_full": 7}
    assert channel.stats().queued == len(channel) == 10


def test_capacity_holds_under_threads():
    """8 threads fill a queue of 1,000 to the last place and not beyond."""
    channel = make(1000)
    results = []
    barrier = threading.Barrier(8)

    def fill():
        barrier.wait()
        results.append(sum(channel.put(record(tool())) for _ in range(5000)))

    threads = [threading.Thread(target=fill) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(results) == len(channel) == 1000
    assert channel.stats().dropped == {"queue_full": 39_000}
    assert channel.stats().emitted == 40_000


def test_what_was_taken_no_longer_fills_the_queue():
    """A record in the worker's hands leaves its place to another."""
    channel = make(1)
    assert channel.put(record(tool(1)))
    take(channel, 1)
    assert channel.put(record(tool(2)))
    assert not channel.put(record(tool(3)))


def test_drop_oldest_keeps_the_newest():
    """Under drop_oldest the last ones remain, and each that made room is counted."""
    channel = make(3, OnFull.DROP_OLDEST)
    assert all(channel.put(record(tool(n))) for n in range(8))
    assert ids(take(channel)) == ["c5", "c6", "c7"]
    assert channel.stats().dropped == {"queue_full": 5}
    assert channel.stats().emitted == 8


def test_a_dropped_oldest_is_answered():
    """A caller that waits for a record which had to make room gets False."""
    channel, ack = make(1, OnFull.DROP_OLDEST), Ack()
    channel.put(record(tool(1), ack=ack))
    channel.put(record(tool(2)))
    assert ack.answer is False


@pytest.mark.parametrize("policy", [OnFull.DROP_NEWEST, OnFull.DROP_OLDEST])
def test_plain_lines_give_way_first(policy):
    """From 90 % on a plain line is refused itself, while a typed event still comes in."""
    channel = make(10, policy)
    for n in range(9):
        assert channel.put(record(tool(n)))
    assert not channel.put_plain(text_record("noise"))
    assert channel.put(record(tool(9)))
    assert channel.stats().dropped == {"plain_gave_way": 1}


def test_plain_lines_come_in_below_that():
    """Below 90 % a plain line is as good as an event."""
    channel = make(10)
    assert all(channel.put_plain(text_record(str(n))) for n in range(9))
    assert channel.stats().queued == 9


def test_an_idle_worker_is_woken_by_the_first_record_only():
    """While the worker is awake, callers only append."""
    wakeup = Wakeup()
    channel = make(100, wakeup=wakeup)
    for n in range(40):
        channel.put(record(tool(n)))
    assert wakeup.count == 1


def test_the_worker_is_woken_at_the_high_water_mark():
    """A queue that is half full wakes a worker that still sleeps out its interval, once."""
    wakeup = Wakeup()
    channel = make(100, wakeup=wakeup)
    assert channel.sleep_until_half_full()
    for n in range(50):
        channel.put(record(tool(n)))
    assert wakeup.count == 0
    assert not channel.sleep_until_half_full()
    for n in range(30):
        channel.put(record(tool(n)))
    assert wakeup.count == 1


@pytest.mark.parametrize("policy", OnFull)
def test_nobody_rings_for_a_worker_that_is_awake(policy):
    """While the worker takes, callers append at once until the queue is full; under drop_oldest, nearly full."""
    wakeup = Wakeup()
    channel = make(100, policy, wakeup=wakeup)
    take(channel, 9)
    for n in range(90 if policy is OnFull.DROP_OLDEST else 100):
        channel.put(record(tool(n)))
    assert wakeup.count == 0


def test_resting_asks_for_the_next_wake():
    """A worker that goes to sleep is woken by the next record, and is told if one is there already."""
    wakeup = Wakeup()
    channel = make(wakeup=wakeup)
    channel.put(record(tool()))
    assert not channel.sleep_until_woken()
    take(channel, 9)
    assert channel.sleep_until_woken()
    channel.put(record(tool()))
    assert wakeup.count == 2


def test_without_a_worker_every_caller_rings():
    """Where no worker can be had, each put asks for its work to be done."""
    wakeup = Wakeup(answers=False)
    channel = make(wakeup=wakeup)
    for n in range(5):
        channel.put(record(tool(n)))
    assert wakeup.count == 5


def test_closed_refuses_and_counts():
    """After close nothing comes in, what is queued stays, and refusals are counted as closed."""
    channel = make()
    channel.put(record(tool(1)))
    channel.close()
    assert not channel.put(record(tool(2)))
    assert not channel.put_plain(text_record("x"))
    assert channel.stats().dropped == {"closed": 2}
    assert ids(take(channel)) == ["c1"]
    channel.sleep_until_woken()
    assert not channel.put(record(tool(3)))


def test_discard_counts_as_shutdown():
    """Records that were never taken are counted as shutdown, and their callers get False."""
    channel, ack = make(), Ack()
    channel.put(record(tool(1), ack=ack))
    channel.put(record(tool(2)))
    channel.discard()
    assert channel.stats().dropped == {"shutdown": 2}
    assert ack.answer is False
    assert balanced(channel.stats())


def in_thread(function):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(function()))
    thread.start()
    return thread, answers


def test_block_waits_until_there_is_room():
    """Under block a caller waits and gets in when the worker takes something."""
    clock = ManualClock()
    channel = make(1, OnFull.BLOCK, clock=clock)
    channel.put(record(tool(1)))
    thread, answers = in_thread(lambda: channel.put(record(tool(2))))
    assert clock.until_waiting()
    assert channel.stats().emitted == 1
    take(channel, 1)
    thread.join()
    assert answers == [True]
    assert ids(take(channel)) == ["c2"]


def test_block_gives_up_in_time():
    """Under block a caller is refused and counted when block_timeout is over."""
    clock = ManualClock()
    channel = make(1, OnFull.BLOCK, clock=clock, block_timeout=5)
    channel.put_plain(text_record("1"))
    thread, answers = in_thread(lambda: channel.put_plain(text_record("2")))
    assert clock.until_waiting()
    clock.advance(5)
    thread.join()
    assert answers == [False]
    assert channel.stats().dropped == {"block_timeout": 1}
    assert balanced(channel.stats())


def test_close_frees_who_is_blocked():
    """A caller that waits for room is refused as closed when the log closes."""
    clock = ManualClock()
    channel = make(1, OnFull.BLOCK, clock=clock)
    channel.put(record(tool(1)))
    thread, answers = in_thread(lambda: channel.put(record(tool(2))))
    assert clock.until_waiting()
    channel.close()
    thread.join()
    assert answers == [False]
    assert channel.stats().dropped == {"closed": 1}


def test_the_thread_in_the_step_never_waits_for_itself():
    """Under block the one that could make room is refused at once."""
    channel = make(1, OnFull.BLOCK, in_step=lambda: True)
    channel.put(record(tool(1)))
    assert not channel.put(record(tool(2)))
    assert channel.stats().dropped == {"block_timeout": 1}


def test_a_signal_handler_does_not_wait_behind_its_own_thread():
    """Under block, a put from a signal handler that interrupts a waiting put is refused at once."""
    clock = ManualClock()
    channel = make(1, OnFull.BLOCK, clock=clock)
    channel.put(record(tool(1)))
    answers = []

    def handler(*_):
        answers.append(channel.put(record(tool(3))))
        take(channel, 1)

    previous = signal.signal(signal.SIGUSR1, handler)
    thread = threading.Thread(target=lambda: (clock.until_waiting(), signal.raise_signal(signal.SIGUSR1)))
    try:
        thread.start()
        assert channel.put(record(tool(2)))
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, previous)
    assert answers == [False]


def test_room_made_by_the_wake_is_used():
    """Under block, where the wake itself does the work, no caller waits."""
    channel = make(1, OnFull.BLOCK, wakeup=lambda: bool(take(channel, 9)) or True)
    assert channel.put(record(tool(1)))
    assert channel.put(record(tool(2)))
    assert channel.stats().dropped_total == 0


def test_puts_from_finalisers_are_counted_exactly():
    """Records put by the garbage collector in the middle of puts are each counted once."""
    channel = make(1_000_000)

    class Cycle:
        def __init__(self):
            self.me = self

        def __del__(self):
            channel.put(record(tool()))

    for n in range(3000):
        Cycle()
        channel.put(record(tool(n)))
    gc.collect()
    assert channel.stats().emitted == len(channel) == 6000


def test_snapshots_always_add_up():
    """Every snapshot taken while threads emit and a worker takes adds up, and totals never shrink."""
    channel = make(50, OnFull.DROP_OLDEST)
    done = threading.Event()

    def emit():
        while not done.is_set():
            channel.put(record(tool()))

    def work():
        while not done.is_set():
            channel.written += len(take(channel, 20))

    threads = [threading.Thread(target=target) for target in (emit, emit, emit, work)]
    for thread in threads:
        thread.start()
    last = channel.stats()
    try:
        for _ in range(3000):
            now = channel.stats()
            assert balanced(now)
            assert now.emitted >= last.emitted
            assert now.written >= last.written
            assert now.dropped_total >= last.dropped_total
            last = now
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert channel.stats().queued == len(channel)


def test_a_snapshot_is_of_one_moment():
    """A snapshot adds up though a record is emitted and written, and one refused, at each call within it."""
    channel = make()

    def meanwhile(frame, event, _):
        if frame.f_code is Channel.stats.__code__ and event == "c_call":  # there other threads may run
            channel.accepted += 1
            channel.written += 1
            channel.queue_full += 1
            channel.refused += 1

    sys.setprofile(meanwhile)
    try:
        now = channel.stats()
    finally:
        sys.setprofile(None)
    assert balanced(now)
    assert (now.emitted, now.written, now.queued) == (0, 0, 0)
    assert channel.stats().written > 0


def test_reset_starts_at_zero():
    """A reset channel is empty, counts from zero and lets records in."""
    channel = make(1)
    channel.put(record(tool(1)))
    channel.put(record(tool(2)))
    channel.reset()
    assert (channel.stats().emitted, len(channel)) == (0, 0)
    assert channel.put(record(tool(3)))


def test_losing_the_race_for_the_oldest_is_no_drop():
    """Where the worker has taken the oldest first, nothing is dropped and nothing is counted."""
    channel = make(1, OnFull.DROP_OLDEST)
    channel._drop_oldest()
    assert (channel.stats().dropped, channel.taken) == ({}, 0)


def test_taking_beside_callers_that_drop():
    """While a worker takes and callers drop the oldest, each record is taken or dropped, and the totals stay right."""
    channel, done, taken = make(5, OnFull.DROP_OLDEST), threading.Event(), []

    def emit():
        for n in range(20_000):
            channel.put(record(tool(n)))

    def work():
        while not done.is_set():
            channel.take(3, taken)

    worker = threading.Thread(target=work)
    emitters = [threading.Thread(target=emit) for _ in range(3)]
    worker.start()
    for thread in emitters:
        thread.start()
    for thread in emitters:
        thread.join()
    done.set()
    worker.join()
    channel.take(9, taken)
    assert len(channel) == 0
    assert channel.taken == channel.accepted == 60_000
    assert len(taken) + channel.stats().dropped["queue_full"] == 60_000


def test_a_take_that_finds_less_is_put_right():
    """When callers drop records that the worker is about to take, it counts the ones it got."""
    channel = make(3, OnFull.DROP_OLDEST)
    for n in range(3):
        channel.put(record(tool(n)))

    class Deque(type(channel._queue)):
        def __len__(self):
            return super().__len__() + 1  # one more was there when the worker looked

    channel._queue = Deque(channel._queue)
    assert ids(take(channel)) == ["c0", "c1", "c2"]
    assert channel.taken == 3


def test_waiters_that_gave_up_are_forgotten():
    """Callers whose time is over leave no waiter behind, and with no time at all they do not wait."""
    channel = make(1, OnFull.BLOCK, block_timeout=0)
    channel.put(record(tool()))
    for _ in range(100):
        assert not channel.put(record(tool()))
    assert len(channel._waiters) == 0
    assert channel.stats().dropped == {"block_timeout": 100}


def test_an_interrupted_wake_is_made_up_for():
    """When Ctrl-C comes while the worker is being woken, the next caller wakes it."""

    def interrupted():
        raise KeyboardInterrupt

    channel, wakeup = make(wakeup=interrupted), Wakeup()
    with pytest.raises(KeyboardInterrupt):
        channel.put(record(tool(1)))
    channel._wake = wakeup
    assert channel.put(record(tool(2)))
    assert wakeup.count == 1
    assert len(channel) == 2


def test_room_made_while_asking_is_used():
    """Under block, a caller that finds room after waking the worker does not wait."""
    channel = make(1, OnFull.BLOCK)
    channel.put(record(tool(1)))
    channel._wake = lambda: bool(take(channel, 1)) or True
    assert channel.put(record(tool(2)))
    assert channel.stats().emitted == 2


def test_a_wake_does_not_open_a_closed_channel():
    """A caller that was waking the worker while the channel closed leaves it closed."""
    channel = make()
    channel.close()
    channel._wake_worker()
    assert not channel.put(record(tool()))


class Closing(Channel):
    """A channel that another thread closes between two looks at it."""

    __slots__ = ("closes_at", "looks")

    @property
    def _shut(self):
        self.looks += 1
        return self.looks > self.closes_at

    @_shut.setter
    def _shut(self, _):
        self.looks, self.closes_at = 0, 1_000_000


@pytest.mark.parametrize(
    ("policy", "plain", "looks"),
    [(OnFull.DROP_NEWEST, False, 2), (OnFull.DROP_NEWEST, True, 2), (OnFull.BLOCK, False, 4)],
)
def test_a_refusal_while_closing_counts_as_closed(policy, plain, looks):
    """When the channel closes while a full queue is being answered, the record is refused as closed, not as dropped."""
    channel = Closing(
        capacity=2, capacity_bytes=2**40, on_full=policy, block_timeout=0, clock=ManualClock(), wake=Wakeup()
    )
    assert channel.put(record(tool(1)))
    assert channel.put(record(tool(2)))
    channel.looks, channel.closes_at = 0, looks
    assert not (channel.put_plain(text_record("x")) if plain else channel.put(record(tool(3))))
    assert channel.stats().dropped == {"closed": 1}


# -- the limit in bytes ------------------------------------------------------------------


def large(slots, number=0, ack=None):
    """Return the record of an event with so many further slots."""
    item = record(tool(number), ack=ack)
    item.slots = slots
    return item


def large_text(slots):
    item = text_record("x")
    item.slots = slots
    return item


def test_the_bytes_hold_exactly():
    """Of a queue of ten slots, small and large records take all, and not one more."""
    channel = make(100, capacity_bytes=10 * SLOT)
    answers = [channel.put(large(slots)) for slots in (3, 0, 2, 2, 0, 1, 0)]
    assert answers == [True, True, True, False, True, False, True]
    assert channel.stats().queued_bytes == 10 * SLOT
    assert channel.stats().dropped == {"queue_full": 2}
    assert balanced(channel.stats())


def test_what_is_taken_makes_room_in_bytes():
    """The slots of a record are free when the worker has taken it."""
    channel = make(100, capacity_bytes=10 * SLOT)
    assert channel.put(large(8))
    assert not channel.put(large(4))
    take(channel, 1)
    assert channel.stats().queued_bytes == 0
    assert channel.put(large(4))
    assert channel.stats().queued_bytes == 5 * SLOT


def test_an_empty_queue_has_room_for_the_largest():
    """A record that is larger than the whole queue is let in alone."""
    channel = make(100, capacity_bytes=10 * SLOT)
    assert channel.put(large(500))
    assert channel.stats().queued_bytes == 10 * SLOT
    assert not channel.put(large(0))
    take(channel)
    assert channel.put(large(0))


def test_plain_lines_give_way_in_bytes():
    """The last tenth of the bytes is kept for typed events."""
    channel = make(100, capacity_bytes=20 * SLOT)
    assert channel.put_plain(large_text(16))
    assert channel.put_plain(text_record("x"))
    assert not channel.put_plain(text_record("x"))
    assert channel.put(large(1))
    assert channel.stats().dropped == {"plain_gave_way": 1}


def test_drop_oldest_makes_room_in_bytes():
    """Under drop_oldest as many records go as the new one needs, the oldest first."""
    channel = make(100, OnFull.DROP_OLDEST, capacity_bytes=10 * SLOT)
    for number in range(5):
        assert channel.put(large(1, number))
    assert channel.put(large(4, 5))
    assert ids(take(channel)) == ["c3", "c4", "c5"]
    assert channel.stats().queued_bytes == 0
    assert channel.stats().dropped == {"queue_full": 3}


def test_a_caller_waits_for_room_in_bytes():
    """Under block a caller waits until the bytes are there, although there is a place for the record."""
    clock, channel = ManualClock(), None

    def wakeup():
        return True

    channel = make(100, OnFull.BLOCK, capacity_bytes=10 * SLOT, clock=clock, wakeup=wakeup)
    assert channel.put(large(8))
    answers = []
    thread = threading.Thread(target=lambda: answers.append(channel.put(large(4, 1))))
    thread.start()
    assert clock.until_waiting()
    assert answers == []
    assert ids(take(channel)) == ["c0"]
    thread.join()
    assert answers == [True]


def test_a_caller_who_waits_in_vain_for_bytes():
    """When the time is up a large record is counted as block_timeout."""
    channel = make(100, OnFull.BLOCK, capacity_bytes=10 * SLOT, block_timeout=0)
    assert channel.put(large(8))
    assert not channel.put(large(4))
    assert channel.stats().dropped == {"block_timeout": 1}


def test_the_worker_takes_large_records_in_parts():
    """Records with long texts are taken until they are 8 MiB, but always at least one."""
    channel = make(100, capacity_bytes=2**40)
    for number in range(4):
        channel.put(large(4_000, number))
    channel.put(large(20_000, 4))
    assert ids(take(channel)) == ["c0", "c1"]
    assert ids(take(channel)) == ["c2", "c3"]
    assert ids(take(channel)) == ["c4"]
    assert channel.stats().queued_bytes == 0


def test_large_records_are_dropped_while_they_are_counted(monkeypatch):
    """When a caller drops the oldest between the worker's count and its taking, the bytes are right all the same."""
    channel = make(100, OnFull.DROP_OLDEST, capacity_bytes=100 * SLOT)
    for number in range(3):
        channel.put(large(9 + number, number))
    count = channel._first_slots

    class Between(Channel):
        __slots__ = ()

        def _first_slots(self, most):
            answer = count(most)
            self.put(large(90, 3))  # drops all three
            return answer

    channel.__class__ = Between
    taken = take(channel)
    assert ids(taken) == ["c3"]
    assert channel.stats().queued_bytes == 0
    assert balanced(channel.stats())


def test_the_bytes_are_right_again_when_all_is_taken():
    """Should an interrupt have kept the worker from counting, an empty queue has no bytes."""
    channel = make(100, capacity_bytes=10 * SLOT)
    channel.put(large(5))
    take(channel)
    channel.more_taken -= 5  # as if KeyboardInterrupt had come
    assert channel.stats().queued_bytes == 5 * SLOT
    take(channel)
    assert channel.stats().queued_bytes == 0


def test_few_bytes_limit_small_records_too():
    """A queue of few bytes holds as many small records as it has slots, if these are fewer than its capacity."""
    channel = make(100, capacity_bytes=3 * SLOT + 500)
    assert [channel.put(record(tool())) for _ in range(5)] == [True, True, True, False, False]
    assert channel.stats().queued_bytes == 3 * SLOT


def test_the_bytes_hold_under_threads():
    """Eight threads with large and small records, and a worker beside them, never exceed the bytes."""
    channel = make(10_000, capacity_bytes=500 * SLOT)
    exceeded, barrier, taken = [], threading.Barrier(9), []

    def fill(slots):
        barrier.wait()
        for _ in range(1_500):
            channel.put(large(slots))
            if channel.more_accepted - channel.more_taken > 500 or channel.stats().queued_bytes > 500 * SLOT:
                exceeded.append(channel.stats())

    def work():
        barrier.wait()
        while any(thread.is_alive() for thread in threads[:-1]) or len(channel):
            channel.take(50, taken)

    threads = [threading.Thread(target=fill, args=(n * 7,)) for n in range(8)] + [threading.Thread(target=work)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    stats = channel.stats()
    assert exceeded == []
    assert stats.queued_bytes == 0
    assert channel.more_accepted == channel.more_taken == sum(item.slots for item in taken)
    assert stats.emitted == 12_000 == len(taken) + stats.dropped_total
