from __future__ import annotations

import json
import os

import pytest
from support.faults import FaultyFS, QuickFS
from support.ship_world import Waits
from support.shiplog import HandLog, ship

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.ship import GivenUpError, Shipped, Shipper, status
from bamboo_logmetrics.ship.dead_letter_source import DeadLetterSource
from bamboo_logmetrics.ship.dead_letters import DeadLetters, line_of
from bamboo_logmetrics.ship.log_state import load_state

A = "a" * 20


def resend(log, stub, to="elasticsearch", **options):
    shipper = Shipper(log.path, to=to, url=stub.url, fs=QuickFS(), clock=Waits(), on_trouble=lambda _: None, **options)
    return shipper.resend(give_up_after=0)


def letters(log, name="elasticsearch"):
    """Return the bytes of the letters."""
    try:
        with open(log.hidden("dead-letter", name), "rb") as file:
            return file.read().splitlines()
    except FileNotFoundError:
        return []


def state(log, name="elasticsearch"):
    found = load_state(FaultyFS(), log.hidden("checkpoint", name))
    return found.shipped, found.refused, found.lost


@pytest.fixture
def refused(hand_log, stub):
    """Give a log of ten lines of which the numbers 3, 5 and 8 were refused, one is junk, and two are lost."""
    stub.poison = lambda identity: "no" if identity[1] in {3, 5, 8} else None
    hand_log.write(6)
    hand_log.append(b"junk\n")
    hand_log.make(2)
    hand_log.last["a"] = 6
    hand_log.write(2)
    hand_log.make(2)
    hand_log.write(2)
    assert ship(hand_log, stub, "elasticsearch") == Shipped(7, 4, 2)
    return hand_log


def test_what_was_refused_is_delivered(refused, stub):
    """Once the server takes them, the refused lines are delivered, and only the letters without such a line stay."""
    stub.poison = lambda _: None
    before = letters(refused)
    assert resend(refused, stub) == Shipped(3, 0, 0)
    assert stub.kept == sorted((A, seq) for seq in [*range(1, 9), 11, 12])
    assert letters(refused) == [letter for letter in before if b'"seq"' not in letter]
    assert state(refused) == (10, 1, 2)
    assert resend(refused, stub) == Shipped(0, 0, 0)
    assert ship(refused, stub, "elasticsearch") == Shipped(0, 0, 0)
    (found,) = status(refused.path)
    assert (found.shipped, found.refused, found.lost, found.lag_bytes) == (10, 1, 2, 0)


def test_what_is_refused_again_stays(refused, stub):
    """A line that is refused again stays where it is, with its letter, and counts as refused."""
    stub.poison = lambda identity: "still no" if identity[1] == 5 else None
    before = letters(refused)
    assert resend(refused, stub, batch_bytes=1) == Shipped(2, 1, 0)
    assert letters(refused) == [letter for letter in before if b'"seq":3' not in letter and b'"seq":8' not in letter]
    assert state(refused) == (9, 2, 2)


def test_an_empty_file_is_removed(hand_log, stub):
    """When every letter is delivered there is no dead-letter file any more; the status names none."""
    hand_log.write(2)
    stub.poison = lambda identity: "no" if identity[1] == 1 else None
    ship(hand_log, stub, "elasticsearch")
    assert status(hand_log.path)[0].dead_letters
    stub.poison = lambda _: None
    assert resend(hand_log, stub) == Shipped(1, 0, 0)
    assert status(hand_log.path)[0].dead_letters == ""
    assert resend(hand_log, stub) == Shipped(0, 0, 0)


def test_a_letter_that_is_there_twice_counts_once(refused, stub):
    """A letter that a crash has left twice is sent and counted once, and removed wholly; half a letter is cut away."""
    twice = b"\n".join([*letters(refused), *letters(refused), b'{"half'])
    with open(refused.hidden("dead-letter", "elasticsearch"), "wb") as file:
        file.write(twice)
    stub.poison = lambda _: None
    assert resend(refused, stub) == Shipped(3, 0, 0)
    assert not [letter for letter in letters(refused) if b'"seq"' in letter or b"half" in letter]
    assert state(refused) == (10, 1, 2)


def test_marks_outlive_a_shipper(refused, stub):
    """A delivered line is marked in the checkpoint: neither a failed run nor a shipper between two runs counts it twice."""
    stub.poison = lambda _: None
    stub.reply()
    sent = []
    stub.after = lambda request: (sent.append(request.ids), stub.fail(503) if len(sent) == 1 else None)
    with pytest.raises(GivenUpError):
        resend(refused, stub, batch_bytes=1)
    assert state(refused) == (8, 3, 2)
    assert len(letters(refused)) == 5
    refused.write(1)
    stub.after = lambda _: None
    assert ship(refused, stub, "elasticsearch") == Shipped(1, 0, 0)
    assert state(refused) == (9, 3, 2)
    assert resend(refused, stub) == Shipped(2, 0, 0)
    assert (state(refused), len(letters(refused))) == ((11, 1, 2), 2)
    assert stub.kept == sorted(set(stub.stored)) == sorted(stub.stored)


@pytest.mark.parametrize("to", ["loki", "otlp"])
def test_other_servers(tmp_path, stub, to):
    """Loki's and OTLP's dead letters are sent again too; letters of batches without their lines stay."""
    log = HandLog(tmp_path)
    log.write(6)
    stub.poison = lambda identity: "no" if identity[1] == 2 else None
    assert ship(log, stub, to) == Shipped(5, 1, 0)
    assert resend(log, stub, to) == Shipped(0, int(to == "loki"), 0)
    stub.poison = lambda _: None
    assert resend(log, stub, to) == Shipped(int(to == "loki"), 0, 0)
    assert len(letters(log, to)) == int(to == "otlp")


def test_a_server_that_names_no_lines(hand_log, stub):
    """Where a server only says how many lines it refuses, dead letters go out one by one: each that is taken leaves the file."""
    hand_log.write(5)
    stub.poison = lambda identity: "no" if identity[1] in {2, 3, 4} else None
    assert ship(hand_log, stub, "otlp", batch_bytes=1) == Shipped(2, 3, 0)
    stub.poison = lambda identity: "no" if identity[1] == 3 else None
    assert resend(hand_log, stub, "otlp") == Shipped(2, 1, 0)
    assert [json.loads(letter)["seq"] for letter in letters(hand_log, "otlp")] == [3]
    assert stub.kept == [(A, 1), (A, 2), (A, 4), (A, 5)]


def test_a_line_without_the_servers_form_stays(hand_log, stub):
    """A line that no encoder takes stays, and is counted as refused again."""
    hand_log.write(1)
    hand_log.append(hand_log.make(1)[:-2] + b',"x":' + b"[" * 300 + b"]" * 300 + b"}\n")
    assert ship(hand_log, stub, "otlp") == Shipped(1, 1, 0)
    assert resend(hand_log, stub, "otlp") == Shipped(0, 1, 0)
    assert len(letters(hand_log, "otlp")) == 1


def test_nobody_has_shipped(hand_log, stub):
    """Under a name that never shipped there is nothing to send again, which is an error, and no checkpoint is made."""
    hand_log.write(1)
    with pytest.raises(ConfigError, match="was shipped under this name"):
        resend(hand_log, stub)
    assert status(hand_log.path) == []


def test_beside_a_shipper(refused, stub):
    """While a shipper of the same name runs, dead letters are not sent again."""
    with Shipper(refused.path, to="elasticsearch", url=stub.url) as shipper:
        refused.write(1)
        assert stub.until_reached(len(stub.requests) + 1)
        with pytest.raises(ConfigError, match="another process ships"):
            resend(refused, stub)
        assert shipper.close()


# -- the limit -------------------------------------------------------------------------------


def test_a_full_file(hand_log, stub):
    """Refused lines beyond the limit are counted, and said once; the file does not grow, and resending makes room."""
    hand_log.write(40)
    stub.poison = lambda _: "no"
    said = []
    options = {"dead_letter_bytes": 1_000, "batch_bytes": 300, "on_notice": said.append}
    hand_log.append(b"short\n")
    stub.poison = lambda identity: None if identity[1] == 1 else "no"
    assert ship(hand_log, stub, "elasticsearch", **options) == Shipped(1, 40, 0)
    path = hand_log.hidden("dead-letter", "elasticsearch")
    assert os.path.getsize(path) <= 1_000
    kept = len(letters(hand_log))
    (found,) = status(hand_log.path)
    assert (found.refused, found.unkept) == (40, 40 - kept)
    assert said == [
        f"{path} is full: refused lines are counted and not kept any more; see --resend and --dead-letter-bytes"
    ]
    assert any(letter.endswith(b'"line":"short"}') for letter in letters(hand_log)) == (
        b"short" in b"".join(letters(hand_log))
    )
    stub.poison = lambda _: None
    done = resend(hand_log, stub)
    assert (done.refused, done.shipped) == (0, sum(b'"seq"' in letter for letter in letters(hand_log)) or done.shipped)
    assert status(hand_log.path)[0].unkept == 40 - kept
    with pytest.raises(ConfigError, match="dead_letter_bytes=-1"):
        Shipper(hand_log.path, to="loki", url=stub.url, dead_letter_bytes=-1)


def test_letters_are_read_in_pieces(tmp_path):
    """Letters come back as they were written, however large the file is; what is none has no line."""
    book = DeadLetters(str(tmp_path / "dead"), FaultyFS(), log=str(tmp_path / "log"))
    assert list(book.read()) == []
    wanted = [{"reason": "r", "line": "x" * size} for size in (1, 70_000, 3)]
    assert book.write(wanted, "now") == 0
    assert [json.loads(letter)["line"] for letter in book.read()] == [each["line"] for each in wanted]
    assert [len(line_of(letter)) for letter in book.read()] == [1, 70_000, 3]
    assert [line_of(text) for text in (b"junk", b"[1]", b'{"lost":[1,2]}', b'{"line":1}')] == [None] * 4


def test_a_file_that_was_put_back(refused, stub):
    """Letters from a backup are sent again, and count no more: no more lines are delivered than were refused."""
    stub.poison = lambda _: None
    before = b"".join(letter + b"\n" for letter in letters(refused))
    assert resend(refused, stub) == Shipped(3, 0, 0)
    for _ in range(2):
        with open(refused.hidden("dead-letter", "elasticsearch"), "wb") as file:
            file.write(before)
        notices = []
        assert resend(refused, stub, on_notice=notices.append) == Shipped(0, 0, 0)
        path = refused.hidden("dead-letter", "elasticsearch")
        assert notices == [f"{path}: 3 delivered lines count no more, as no more were refused"]
        assert state(refused) == (10, 1, 2)


@pytest.mark.parametrize("count", [1, 2])
def test_garbage_in_the_file(refused, stub, count):
    """Lines that are no letters stay in the file, and how many they are is reported."""
    stub.poison = lambda _: None
    garbage = [b"\x00\xff", b"{}", b"[" * 100_000, b"7"][: 2 * count]
    path = refused.hidden("dead-letter", "elasticsearch")
    with open(path, "ab") as file:
        file.write(b"\n".join(garbage) + b"\n")
    notices = []
    assert resend(refused, stub, on_notice=notices.append) == Shipped(3, 0, 0)
    assert notices == [f"{path}: {2 * count} of its lines cannot be read, and stay there"]
    assert letters(refused)[-2 * count :] == garbage
    assert state(refused) == (10, 1, 2)


def test_lines_that_a_server_did_not_name(hand_log, stub):
    """Refused lines that no letter names stay refused, whatever lines are put into the file."""
    hand_log.write(2)
    stub.poison = lambda identity: "no" if identity[1] == 1 else None
    ship(hand_log, stub, "elasticsearch")
    path = hand_log.hidden("dead-letter", "elasticsearch")
    with open(path, "ab") as file:
        file.write(b'{"at":"x","reason":"no","refused":1,"among":{}}\n{"at":"x","reason":"no","refused":"x"}\n')
    stub.poison = lambda _: None
    assert resend(hand_log, stub) == Shipped(0, 0, 0)
    assert state(hand_log) == (1, 1, 0)


def test_lines_that_are_noted_before_their_batch_is_over(refused, stub, monkeypatch):
    """A line that is delivered before the rest of its batch is counted once."""
    stub.poison = lambda _: None
    whole = DeadLetterSource.next_batch

    def noted(self, size):
        batch = whole(self, size)
        if batch:
            self.note_delivered(batch.entries[:1])
        return batch

    monkeypatch.setattr(DeadLetterSource, "next_batch", noted)
    resend(refused, stub)
    assert state(refused) == (10, 1, 2)
    assert resend(refused, stub) == Shipped(0, 0, 0)
