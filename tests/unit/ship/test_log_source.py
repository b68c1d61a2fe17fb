from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import threading

import pytest
from support.crashpoints import exit_code, fork
from support.faults import FaultyFS, each_call_failing
from support.shiplog import HandLog, ids_in, line

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.format.layouts import LAYOUTS
from bamboo_logmetrics.format.strict_json import encode
from bamboo_logmetrics.logfiles import checkpoint
from bamboo_logmetrics.logfiles.position import fingerprint
from bamboo_logmetrics.ship import log_source as module
from bamboo_logmetrics.ship.dead_letters import DeadLetters
from bamboo_logmetrics.ship.destinations.base import Rejection
from bamboo_logmetrics.ship.log_source import LogSource
from bamboo_logmetrics.ship.log_state import LogState, ShipperIdentity, load_state, save_state
from bamboo_logmetrics.system import Clock
from bamboo_logmetrics.testing import ManualClock

NAMES = ShipperIdentity("loki", "loki", "http://h/push")
BIG = 1024 * 1024
A = "a" * 20


@pytest.fixture
def fs():
    return FaultyFS()


@pytest.fixture
def clock():
    return ManualClock(1_795_362_433 * 10**9)


@pytest.fixture
def opening(hand_log, fs, clock):
    """Open shipments of the log, which are closed after the test."""
    made = []

    def opened(names=NAMES, *, moved=False, fs=fs, clock=clock):
        made.append(LogSource(hand_log.path, names, moved=moved, fs=fs, clock=clock))
        return made[-1]

    yield opened
    for each in made:
        if not each._closed:
            each.close()


def test_how_fast_a_log_fills_a_file(hand_log, opening, clock):
    """The last rotations say how fast a log is written; while none follows it is at least the time since the last one."""
    hand_log.write(1)
    source = opening()
    assert source.seconds_to_fill_a_file() == math.inf
    for second in (15, 16, 19, 22, 25):
        hand_log.write(1)
        os.rename(hand_log.rotate(), f"{hand_log.path}.20261122T1547{second}000000Z-{A}")
    clock.advance(14)  # it is 15:47:27
    assert source.seconds_to_fill_a_file() == 3.0
    clock.advance(3)
    assert source.seconds_to_fill_a_file() == 5.0
    hand_log.write(1)
    os.rename(hand_log.rotate(), f"{hand_log.path}.20261122T154730000000Z-{A}")
    assert source.seconds_to_fill_a_file() == 5.0  # the directory is not listed each time
    clock.advance(6)
    assert source.seconds_to_fill_a_file() == 6.0


def deliver(source, size=BIG, refused=()):
    """Settle everything as delivered, but for the numbers that are refused; return what was delivered."""
    found = []
    while (batch := source.next_batch(size)) is not None:
        bad = [entry for entry in batch.entries if entry.head.seq in refused]
        source.commit(batch, [Rejection([entry], 1, "no") for entry in bad])
        source.save()
        found += [entry.head.seq for entry in batch.entries if entry not in bad]
    return found


def on_disk(log, fs=None):
    return load_state(fs or FaultyFS(), log.hidden("checkpoint"))


def letters(log, name="loki"):
    with open(log.hidden("dead-letter", name), encoding="utf-8") as file:
        return [json.loads(each) for each in file]


# -- places and counts -------------------------------------------------------------------


def test_it_goes_on_where_it_was(hand_log, opening):
    """A source goes on at the checkpoint of the one before, with its counts."""
    hand_log.write(5)
    first = opening()
    assert deliver(first, 1) == [1, 2, 3, 4, 5]
    first.close()
    hand_log.rotate()
    hand_log.write(3)
    second = opening()
    assert deliver(second) == [6, 7, 8]
    assert not second.restarted
    state = on_disk(hand_log)
    assert (state.shipped, state.refused, state.lost, state.repeated) == (8, 0, 0, 0)
    assert state.writers == {A: 8}
    assert state.saved_at == "2026-11-22T15:47:13.000000Z"


def test_lines_that_were_read_are_not_committed(hand_log, opening):
    """Lines that were read and not committed are not in the checkpoint, and come again."""
    hand_log.write(3)
    first = opening()
    batch = first.next_batch(BIG)
    assert len(batch.entries) == 3
    first.set_error("no server")
    first.close()
    assert (on_disk(hand_log).position.offset, on_disk(hand_log).error) == (0, "no server")
    assert deliver(opening()) == [1, 2, 3]


def test_a_server_that_was_away_at_the_first_start(hand_log, opening, fs):
    """A checkpoint that only says what was wrong is no reason to think that lines were lost before the first one."""
    hand_log.last["a"] = 100
    hand_log.write(3)
    hand_log.rotate()
    hand_log.last["b"] = 7
    hand_log.write(2, "b")
    first = opening()
    first.set_error("no server")
    first.close()
    second = opening()
    assert deliver(second) == [101, 102, 103, 8, 9]
    assert second.state.lost == 7  # in the second file it is known that nothing of b stood before
    assert not os.path.exists(hand_log.hidden("x"))


def test_what_is_lost_before_anything_was_delivered(hand_log, opening):
    """Lines that are removed after a shipper has looked, and before it could deliver any, are known to be lost."""
    first = opening()
    assert first.next_batch(BIG) is None
    hand_log.last["a"] = 4  # what stood before nobody can know
    hand_log.write(3)
    first.next_batch(BIG)
    first.set_error("no server")
    first.close()
    assert on_disk(hand_log).writers == {A: 4}
    os.unlink(hand_log.path)
    hand_log.write(1)
    assert deliver(opening()) == [8]
    assert on_disk(hand_log).lost == 3
    reasons = [each["reason"] for each in letters(hand_log)]
    assert reasons[0] == "the file that was being read is gone: it is not known which lines followed in it"
    assert on_disk(hand_log).refused == 0


def test_the_middle_of_the_oldest_file(hand_log, opening):
    """After a restart in the oldest file of all it is still unknown what stood before the first line of a writer."""
    hand_log.write(3)
    hand_log.last["b"] = 50
    hand_log.write(2, "b")
    first = opening()
    batch = first.next_batch(len(line("a", 1)) * 2)
    first.commit(batch, [])
    first.save()
    first.close()
    assert deliver(opening()) == [3, 51, 52]
    assert on_disk(hand_log).lost == 0


def test_numbers_that_are_missing_are_lost(hand_log, opening):
    """Lines that the files do not hold any more are counted, and named in the dead-letter file."""
    hand_log.write(3)
    source = opening()
    deliver(source)
    hand_log.make(4)
    hand_log.rotate()
    hand_log.write(2)
    hand_log.make(2, "b")
    hand_log.write(1, "b")
    assert deliver(source) == [8, 9, 3]
    assert on_disk(hand_log).lost == 6
    assert [(each["writer"], each["lost"]) for each in letters(hand_log)] == [(A, [4, 7]), ("b" * 20, [1, 2])]
    assert {each["reason"] for each in letters(hand_log)} == {"lost: the files do not hold these lines any more"}


def test_lines_that_come_again(hand_log, opening):
    """Lines that stand in the files again are not delivered again, and counted."""
    hand_log.write(5)
    source = opening()
    deliver(source)
    os.truncate(hand_log.path, 0)
    hand_log.append(b"".join([line("b", 1), *(line("a", seq) for seq in range(1, 8))]))
    assert deliver(source) == [1, 6, 7]
    assert (on_disk(hand_log).shipped, on_disk(hand_log).repeated, on_disk(hand_log).lost) == (8, 5, 0)


def test_what_is_no_line(hand_log, opening, clock):
    """Lines of somebody else and half lines go to the dead-letter file with the reason, and the others are delivered."""
    hand_log.write(1)
    hand_log.append(b'{"message": "hi"}\n\xff\xfe\n\n' + hand_log.make(1) + b'{"half')
    hand_log.rotate()
    hand_log.write(1)
    assert deliver(opening()) == [1, 2, 3]
    assert (on_disk(hand_log).shipped, on_disk(hand_log).refused) == (3, 4)
    found = letters(hand_log)
    assert [each["line"] for each in found] == ['{"message": "hi"}', "\ufffd\ufffd", "", '{"half']
    assert all(each["reason"].startswith("not a line of this log: ") for each in found[:3])
    assert found[3]["reason"] == "cut off: it has no newline"
    assert {each["at"] for each in found} == {"2026-11-22T15:47:13.000000Z"}


def test_what_is_refused(hand_log, opening):
    """Rejected lines are counted, and stand in the dead-letter file line by line, or by the batch."""
    hand_log.write(4)
    source = opening()
    assert deliver(source, refused={2}) == [1, 3, 4]
    hand_log.write(3)
    hand_log.write(2, "b")
    batch = source.next_batch(BIG)
    source.commit(batch, [Rejection(batch.entries, 2, "two of them")])
    source.save()
    assert (on_disk(hand_log).shipped, on_disk(hand_log).refused) == (6, 3)
    first, second = letters(hand_log)
    assert (first["writer"], first["seq"], first["reason"]) == (A, 2, "no")
    assert first["line"].encode() + b"\n" == line("a", 2)
    assert (second["reason"], second["refused"], second["among"]) == ("two of them", 2, {A: [5, 7], "b" * 20: [1, 2]})


def test_files_without_a_line_are_passed(hand_log, opening, fs):
    """Files in which nothing was left are passed in the checkpoint too, once; retention need not wait for them."""
    hand_log.write(1)
    source = opening()
    deliver(source)
    name = hand_log.rotate()
    assert source.next_batch(BIG) is None
    source.save_position()
    assert on_disk(hand_log).position.passed == os.path.basename(name)
    fs.calls.clear()
    source.save_position()
    assert not fs.count("write")


# -- saving ------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["open", "write", "fsync", "close", "rename", "fstat"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_save_that_fails_is_repeated_and_counts_once(tmp_path, call, code):
    """Whichever call fails, saving again is enough: nothing is counted twice, and each dead letter is there once."""
    for number, fs in each_call_failing(call, code):
        log = HandLog(tmp_path, f"{number}.jsonl")
        log.write(4)
        log.make(2)
        log.append(b"junk\n")
        log.write(2)
        healthy = FaultyFS()
        source = LogSource(log.path, NAMES, moved=False, fs=healthy, clock=ManualClock())
        batch = source.next_batch(BIG)
        source.commit(batch, [Rejection(batch.entries[1:2], 1, "no")])
        source._fs = source._dead_letters._fs = fs
        for _ in range(2):
            try:
                source.save()
                break
            except OSError:
                continue
        assert [sorted(each) for each in letters(log)] == [
            ["at", "line", "reason"],
            ["at", "line", "reason", "seq", "writer"],
            ["at", "lost", "reason", "writer"],
        ] or call == "close"  # they are there, and perhaps twice
        fs.heal()
        source.close()
        state = on_disk(log)
        assert (state.shipped, state.refused, state.lost) == (5, 2, 2)
        assert all(letters(log))


def test_a_dead_letter_is_on_the_disk_before_the_checkpoint(hand_log, opening, fs):
    """A dead letter is written and brought to the disk before the checkpoint that counts it."""
    hand_log.append(b"junk\n")
    source = opening()
    fs.calls.clear()
    deliver(source)
    steps = [call for call, *_ in fs.calls if call in {"write", "fsync", "rename"}]
    assert steps == ["write", "fsync", "write", "fsync", "rename", "rename"]
    assert len(letters(hand_log)) == on_disk(hand_log).refused == 1


def test_half_a_dead_letter_is_cut_away(tmp_path):
    """A part of a letter, left by a crash, is cut off before the next, however long it is."""
    path = str(tmp_path / "dead")
    book = DeadLetters(path, FaultyFS(), log=path)
    book.write([], "now")
    assert not os.path.exists(path)
    for half in (b'{"at', b'{"at":"' + b"x" * 200_000):
        book.write([{"reason": "a"}], "now")
        with open(path, "ab") as file:
            file.write(half)
    book.write([{"reason": "b"}], "now")
    with open(path, encoding="utf-8") as file:
        assert [json.loads(each)["reason"] for each in file] == ["a", "a", "b"]
    with open(path, "wb") as file:
        file.write(b'{"at":"' + b"x" * 200_000)
    book.write([{"reason": "c"}], "now")
    with open(path, encoding="utf-8") as file:
        assert [json.loads(each)["reason"] for each in file] == ["c"]


@pytest.mark.parametrize("foreign", [b"x" * 200_000, b"somebody's", b'{"a":1}'])
def test_foreign_text_in_a_dead_letter_file_stays(tmp_path, foreign):
    """Text without a newline that is no half letter is left, and a new line is begun behind it."""
    path = tmp_path / "dead"
    path.write_bytes(foreign)
    DeadLetters(str(path), FaultyFS(), log=str(tmp_path / "none")).write([{"reason": "a"}], "now")
    assert path.read_bytes().startswith(foreign + b'\n{"at":"now"')
    assert path.stat().st_mode & 0o777 == 0o600  # where the log's is not known


# -- what is wrong -----------------------------------------------------------------------


def test_what_is_wrong_stands_in_the_checkpoint(hand_log, opening, clock, fs):
    """An error is saved at once, its changes within ten seconds, and its end at once."""
    source = opening()
    source.set_error("")
    assert on_disk(hand_log).error == ""
    source.set_error("one")
    since = on_disk(hand_log).error_since
    assert (on_disk(hand_log).error, since) == ("one", "2026-11-22T15:47:13.000000Z")
    clock.advance(9)
    source.set_error("two")
    assert on_disk(hand_log).error == "one"
    clock.advance(1)
    source.set_error("three")
    assert (on_disk(hand_log).error, on_disk(hand_log).error_since) == ("three", since)
    fs.fail("write", errno.ENOSPC)
    source.set_error("")
    assert on_disk(hand_log).error == "three"
    fs.heal()
    source.set_error("four")
    source.set_error("")
    assert (on_disk(hand_log).error, on_disk(hand_log).error_since) == ("", "")


def test_nothing_is_saved_once_it_is_closed(hand_log, opening):
    """An error after close is not saved: another shipper may be at work by then."""
    hand_log.write(1)
    first = opening()
    first.close()
    second = opening()
    deliver(second)
    before = on_disk(hand_log)
    first.set_error("late")
    assert on_disk(hand_log) == before


# -- who may ship ------------------------------------------------------------------------


def test_two_of_one_name(hand_log, opening):
    """Two shippers of one name do not ship one log; of two names they do; and it is free when the first has ended."""
    first = opening(clock=Clock())
    with pytest.raises(ConfigError, match="another process ships .* under the name 'loki'; stop it, or give --name"):
        opening(clock=Clock())
    opening(NAMES._replace(name="second"))
    first.close()
    opening()


def test_whoever_looks_whether_it_runs_is_waited_for(hand_log, opening, fs, clock):
    """The lock that somebody holds for an instant, to see whether a shipper runs, does not keep one from starting."""
    fd = os.open(hand_log.hidden("shipper"), os.O_RDWR | os.O_CREAT)
    assert fs.lock(fd)
    made = []
    thread = threading.Thread(target=lambda: made.append(opening()))
    thread.start()
    assert clock.until_waiting()
    os.close(fd)
    clock.advance(1)
    thread.join(30)
    assert made


def test_an_error_at_the_lock_leaves_nothing_open(hand_log, opening, fs):
    """A lock that cannot be taken is closed."""
    fs.fail("lock", errno.ENOLCK)
    with pytest.raises(OSError, match="lock"):
        opening()
    assert not module._locks


def test_a_child_does_not_keep_the_lock(hand_log, opening):
    """A process that is forked while a log is shipped does not keep the lock beyond the end of its parent's shipper."""
    first = opening()
    reading, ready = os.pipe()
    waiting, go_on = os.pipe()

    def child():
        os.write(ready, b"locks" if module._locks else b"none")
        os.close(go_on)
        os.read(waiting, 1)

    pid = fork(child)
    assert os.read(reading, 10) == b"none"
    first.close()
    opening(clock=Clock()).close()
    for fd in (go_on, ready, reading, waiting):
        os.close(fd)
    assert exit_code(pid) == 0


def test_whoever_has_the_lock_too_does_not_keep_it(hand_log, opening):
    """A lock that another descriptor shares, as in a child that is forked this instant, is free when the shipper ends."""
    first = opening()
    shared = os.dup(first._lock)
    first.close()
    opening(clock=Clock()).close()
    os.close(shared)


def test_the_locks_of_a_parent_are_closed(monkeypatch, tmp_path):
    """A child closes the descriptors of the locks."""
    fd = os.open(tmp_path / "x", os.O_RDWR | os.O_CREAT)
    monkeypatch.setattr(module, "_locks", {fd})
    module._close_locks()
    assert not module._locks
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_another_url_needs_a_word(hand_log, opening):
    """A checkpoint of another URL or kind is not gone on with, unless the server has moved."""
    hand_log.write(2)
    first = opening()
    deliver(first)
    first.close()
    for other in (NAMES._replace(url="http://other/push"), NAMES._replace(to="otlp")):
        with pytest.raises(ConfigError, match="is the checkpoint of loki at http://h/push; .*--moved.*--name"):
            opening(other)
    hand_log.write(1)
    moved = opening(NAMES._replace(url="http://other/push"), moved=True)
    assert deliver(moved) == [3]
    assert on_disk(hand_log).url == "http://other/push"


def test_a_url_at_which_nothing_was_delivered_is_forgotten(hand_log, opening):
    """A URL that was mistyped needs no word to be put right, since nothing has gone there."""
    hand_log.write(2)
    opening(NAMES._replace(url="http://mistyped/push")).close()
    right = opening()
    assert deliver(right) == [1, 2]
    assert on_disk(hand_log).url == NAMES.url


def test_another_kind_of_server_has_not_moved(hand_log, opening):
    """Another kind of server is another destination, whatever is said."""
    hand_log.write(2)
    first = opening()
    deliver(first)
    first.close()
    with pytest.raises(ConfigError, match="give --name"):
        opening(NAMES._replace(to="otlp"), moved=True)


def test_another_server_is_not_proven(hand_log, opening):
    """That one server has taken lines says nothing of another that it has moved to, however often it is started there."""
    hand_log.write(2)
    first = opening()
    deliver(first)
    first.close()
    assert on_disk(hand_log).verified
    names = NAMES._replace(url="http://other/push")
    for moved in (True, False):
        hand_log.write(1)
        other = opening(names, moved=moved)
        assert not other.state.verified
        assert deliver(other, refused=range(100)) == []
        other.close()
        assert not on_disk(hand_log).verified
    hand_log.write(1)
    last = opening(names)
    deliver(last)
    assert on_disk(hand_log).verified


@pytest.mark.parametrize("layout", ["native", "ecs", "otel"])
@pytest.mark.parametrize("glued", [1, 2])
def test_a_broken_line_is_not_lost_as_well(hand_log, opening, layout, glued):
    """The number of a line that is broken, or of two that became one, is passed by: it is refused, and nothing is lost."""
    written = [encode(LAYOUTS[layout].write(json.loads(hand_log.make(1)))) for _ in range(6)]
    bad = b"".join(written[2 : 2 + glued]).replace(b"tool_called", b"tool_\xffcalled")
    hand_log.append(b"\n".join([*written[:2], bad, *written[2 + glued :]]) + b"\n")
    source = opening()
    assert deliver(source) == [1, 2, *range(3 + glued, 7)]
    assert (source.state.refused, source.state.lost) == (1, 0)


def test_a_number_in_a_broken_line_is_taken_only_if_it_is_the_next(hand_log, opening):
    """A number that is broken too does not have the lines behind it left out."""
    hand_log.write(2)
    hand_log.append(hand_log.make(1).replace(b'"seq":3', b'"seq":333').replace(b'"level"', b'"le\xffvel"'))
    hand_log.write(2)
    source = opening()
    assert deliver(source) == [1, 2, 4, 5]
    assert (source.state.refused, source.state.lost) == (1, 1)


def test_no_valid_checkpoint(hand_log, opening):
    """Where checkpoints exist and none is valid, it starts over and reports that; without any it just starts."""
    hand_log.write(2)
    first = opening()
    assert not first.restarted
    deliver(first, 1)
    first.close()
    for suffix in ("", ".old"):
        os.truncate(hand_log.hidden("checkpoint") + suffix, 10)
    second = opening()
    assert second.restarted
    assert deliver(second) == [1, 2]


def test_a_checkpoint_of_a_later_version(hand_log, opening, fs):
    """A checkpoint whose values this version does not know is an error, and neither used nor overwritten."""
    checkpoint.save(fs, hand_log.hidden("checkpoint"), {"to": "loki", "url": 3})
    with pytest.raises(ConfigError, match="is not a checkpoint of this version: .*update this package"):
        opening()
    checkpoint.save(fs, hand_log.hidden("checkpoint"), {"to": "loki", "url": NAMES.url, "from_later": 1})
    assert opening().state.shipped == 0


OLD_CHECKPOINT = (
    b'{"to":"loki","url":"http://h/push","place":{"passed":"","head":"%b","head_size":%d,"offset":%d,"in_line":false,'
    b'"in_oldest":true},"writers":{"aaaaaaaaaaaaaaaaaaaa":2},"proven":true,"shipped":2,"refused":0,"lost":0,"repeated":0,'
    b'"error":"","error_since":"","saved_at":"2026-11-22T15:47:13.000000Z"}'
)  # of version 0.1.0


def test_a_checkpoint_of_version_0_1_0(hand_log, opening):
    """A checkpoint that version 0.1.0 wrote is continued, and written again with the same keys in the same order."""
    hand_log.write(2)
    with open(hand_log.path, "rb") as file:
        data = file.read()
    text = OLD_CHECKPOINT % (fingerprint(data).encode(), len(data), len(data))
    with open(hand_log.hidden("checkpoint"), "wb") as file:
        file.write(text + b"\n" + hashlib.sha256(text).hexdigest().encode() + b"\n")
    hand_log.write(1)
    source = opening()
    assert source.state.verified
    with open(hand_log.hidden("checkpoint"), "rb") as file:
        assert file.readline() == text + b"\n"
    assert deliver(source) == [3]


def test_a_state_is_saved_whole(hand_log, fs):
    """A state is loaded as it was saved."""
    state = LogState(to="loki", url="u", writers={A: 3}, shipped=1, refused=2, lost=3, repeated=4, error="e")
    save_state(fs, hand_log.hidden("checkpoint"), state)
    assert load_state(fs, hand_log.hidden("checkpoint")) == state


def test_a_directory_for_checkpoints(hand_log, opening, tmp_path):
    """Checkpoints can be kept in a directory of their own, which is made."""
    folder = tmp_path / "deep" / "ship"
    hand_log.write(2)
    first = opening(NAMES._replace(directory=str(folder)))
    assert deliver(first) == [1, 2]
    first.close()
    assert [name for name in os.listdir(tmp_path) if name.startswith(".")] == []
    assert len(os.listdir(folder)) == 3
    assert opening(NAMES._replace(directory=str(folder))).next_batch(BIG) is None


def test_ids_of_a_batch(hand_log, opening):
    """A batch holds its entries in the order of the file, and the highest numbers."""
    hand_log.write(2)
    hand_log.write(1, "b")
    hand_log.write(1)
    batch = opening().next_batch(BIG)
    assert ids_in([entry.line for entry in batch.entries]) == hand_log.written
    assert batch.last == {A: 3, "b" * 20: 1}
