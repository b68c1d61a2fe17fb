from __future__ import annotations

import os
import threading

import pytest
from support.faults import FaultyFS
from support.shiplog import compress, line, ship

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.logfiles import checkpoint
from bamboo_logmetrics.logfiles.follower import GONE
from bamboo_logmetrics.ship import Shipper, log_status, status
from bamboo_logmetrics.ship.entries import entry_of
from bamboo_logmetrics.system import Clock


def test_no_such_log_and_no_shipper(hand_log):
    """A log that is not there is an error; one that nobody has shipped has no status."""
    with pytest.raises(FileNotFoundError, match="no such log"):
        status(hand_log.path)
    hand_log.write(1)
    assert status(hand_log.path) == []


def test_how_far_each_shipper_is(hand_log, stub):
    """Each shipper of each log has its line, with counts, where to, and when."""
    hand_log.write(4)
    stub.poison = lambda identity: "no" if identity[1] == 2 else None
    ship(hand_log, stub, to="elasticsearch", name="es")
    stub.poison = lambda _: None
    ship(hand_log, stub)
    es, loki = status(os.path.join(hand_log.folder, "*.jsonl"))
    assert (es.log, es.name, es.to, es.url) == (
        hand_log.path,
        "es",
        "elasticsearch",
        f"{stub.url}/logs-bamboo.events-default/_bulk",
    )
    assert (es.shipped, es.refused, es.lost, es.repeated, es.running) == (3, 1, 0, 0, False)
    assert es.dead_letters == hand_log.hidden("dead-letter", "es")
    assert (loki.name, loki.shipped, loki.dead_letters) == ("loki", 4, "")
    assert (es.error, es.error_since, es.lag_bytes, es.lag_seconds) == ("", "", 0, 0.0)
    assert es.saved_at.endswith("Z")


def test_what_is_behind(hand_log, stub, monkeypatch):
    """The lag is the bytes of the files after the position, and the age of the first line there."""
    hand_log.write(3)
    ship(hand_log, stub)
    hand_log.write(2)
    hand_log.rotate()
    hand_log.write(50)
    compress(hand_log.rotate())
    hand_log.write(1)
    (found,) = status(hand_log.path)
    assert found.lag_bytes == sum(len(line("a", seq)) for seq in range(4, 57))  # as if none was compressed
    monkeypatch.setattr(Clock, "time_ns", staticmethod(lambda: entry_of(hand_log.make(1)[:-1]).time_ns + 10 * 10**9))
    (found,) = status(hand_log.path)
    assert found.lag_seconds == 10.000053  # the first of them is the 4th line, and this the 57th


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_compression_is_no_delivery(hand_log, stub, kind):
    """While nothing is delivered the lag in bytes never falls, though files are compressed."""
    hand_log.write(1)
    ship(hand_log, stub)
    before = status(hand_log.path)[0].lag_bytes
    for _ in range(5):
        hand_log.write(200)
        compress(hand_log.rotate(), kind)
        hand_log.write(1)
        after = status(hand_log.path)[0].lag_bytes
        assert after > before + 200 * 100
        before = after
    ship(hand_log, stub)
    assert status(hand_log.path)[0].lag_bytes == 0


@pytest.mark.parametrize("where", ["in the file", "behind it"])
def test_retention_has_overtaken(hand_log, stub, monkeypatch, where):
    """Of lines that retention removed before their delivery, the status has the number, and the age of the oldest that is left."""
    hand_log.write(3)
    if where == "behind it":
        hand_log.rotate()
    ship(hand_log, stub)
    hand_log.write(2_000)
    gone = [*hand_log.rotated, hand_log.rotate()]
    hand_log.write(5, "b")
    hand_log.write(7)
    for path in gone:
        os.unlink(path)
    hand_log.write(1)
    monkeypatch.setattr(Clock, "time_ns", staticmethod(lambda: entry_of(line("b", 1)[:-1]).time_ns + 10 * 10**9))
    (found,) = status(hand_log.path)
    assert (found.lost, found.lag_seconds) == (2_000, 10.0)
    assert (found.error == GONE) == (where == "in the file")
    ship(hand_log, stub)
    (found,) = status(hand_log.path)
    assert (found.lost, found.lag_seconds, found.lag_bytes, found.error) == (2_000, 0.0, 0, "")


def test_what_is_lost_by_an_invalid_line(hand_log, stub):
    """A number in an invalid line is not lost, and lines that were delivered before have no age."""
    hand_log.write(3)
    ship(hand_log, stub)
    hand_log.append(hand_log.make(1).replace(b'"level"', b'"levl"'))
    hand_log.append(line("a", 2))
    (found,) = status(hand_log.path)
    assert (found.lost, found.lag_seconds) == (0, 0.0)


@pytest.mark.parametrize("data", [b"junk\n", b"half"])
def test_what_has_no_age(hand_log, stub, data):
    """An invalid line has bytes and no age."""
    hand_log.write(1)
    ship(hand_log, stub)
    hand_log.append(data)
    (found,) = status(hand_log.path)
    assert (found.lag_bytes, found.lag_seconds) == (len(data), 0.0)


def test_no_valid_checkpoint(hand_log, stub):
    """A checkpoint that is damaged is said, and everything is behind it."""
    hand_log.write(3)
    ship(hand_log, stub)
    for suffix in ("", ".old"):
        with open(hand_log.hidden("checkpoint") + suffix, "wb"):
            pass
    (found,) = status(hand_log.path)
    assert found.error == "no valid checkpoint"
    assert (found.lag_bytes, found.shipped, found.to) == (os.path.getsize(hand_log.path), 0, "")


def test_while_it_runs(hand_log, stub):
    """While a shipper runs, that is said, and looking does not disturb it; what is wrong is there."""
    hand_log.write(2)
    stub.fail(503, body=b"not now")
    heard = threading.Event()
    with Shipper(hand_log.path, to="loki", url=stub.url, on_trouble=lambda error: heard.set()):
        assert heard.wait(30)
        found = status(hand_log.path)
        while not found:  # it is said before it is saved
            found = status(hand_log.path)
        assert found[0].running
        assert found[0].shipped in (0, 2)
        for _ in range(100):
            assert status(hand_log.path)[0].running
    (found,) = status(hand_log.path)
    assert (found.running, found.shipped, found.lag_bytes) == (False, 2, 0)


def test_no_lock_is_nobody(hand_log):
    """A checkpoint without a lock file is one of a shipper that does not run."""
    hand_log.write(1)
    checkpoint.save(FaultyFS(), hand_log.hidden("checkpoint"), {"to": "loki", "url": "u"})
    assert status(hand_log.path)[0].running is False


A = "a" * 20
ODD = [
    *({name: value} for name in ("shipped", "refused", "lost", "repeated", "unkept") for value in (-5, 10**30)),
    *({"place": {name: value}} for name in ("offset", "head_size") for value in (-1, 10**30)),
    {"place": {"head_size": 10**12}},
    {"place": {"head_size": 1025}},
    *({"writers": {A: value}} for value in (-1, 10**30)),
    *({name: {A: [[-1, 2]]}} for name in ("ahead", "resent")),
    *({name: {A: [[1, 10**30]]}} for name in ("ahead", "resent")),
    *({name: {A: [[2, 1]]}} for name in ("ahead", "resent")),
    *({name: {A: [[1, 5], [5, 6]]}} for name in ("ahead", "resent")),
    {"shipped": "x"},
]


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_numbers_that_no_shipper_has_saved(hand_log, stub, odd):
    """A number out of its range is a problem that names the file, for --status and for a shipper, and counts nothing."""
    hand_log.write(3)
    ship(hand_log, stub)
    path = hand_log.hidden("checkpoint")
    state = checkpoint.load(FaultyFS(), path)
    place = state["place"] | odd.get("place", {})
    checkpoint.save(FaultyFS(), path, {**state, **odd, "place": place})
    (found,) = status(hand_log.path)
    assert found.error.startswith(f"{path} is not a checkpoint of this version: ")
    assert (found.shipped, found.refused, found.lost, found.repeated, found.unkept) == (0, 0, 0, 0, 0)
    with pytest.raises(ConfigError, match="is not a checkpoint of this version: .*remove the file"):
        ship(hand_log, stub)


def test_a_log_that_cannot_be_read(hand_log, stub, monkeypatch):
    """A file that cannot be read is a problem that names it, in a line that has the counts of the checkpoint."""
    hand_log.write(3)
    ship(hand_log, stub)
    fs = FaultyFS()
    fs.fail("open", times=None, when=lambda path, *_: path == hand_log.path)
    monkeypatch.setattr(log_status, "FS", lambda: fs)
    (found,) = status(hand_log.path)
    assert (found.shipped, found.lag_bytes) == (3, 0)
    assert found.error == f"{hand_log.path} cannot be read: [Errno 5] Input/output error"
