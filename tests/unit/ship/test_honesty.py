"""Things that a shipper must not do: skip a file, count an undelivered line as delivered, or be silent about a loss."""

from __future__ import annotations

import fnmatch
import json
import os

import pytest
from support.faults import FaultyFS, HurriedClock, QuickFS
from support.shiplog import HandLog, compress, ids_in, line, ship
from support.stub_server import Reply, StubServer

import bamboo_logmetrics as blm
from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.ship import GivenUpError, Shipped, Shipper, status
from bamboo_logmetrics.ship.log_state import load_state


class CompressingFS(QuickFS):
    """Compresses a rotated file just before it is looked at for the first time."""

    def __init__(self, pattern):
        super().__init__()
        self._pattern = pattern

    def lstat(self, path):
        if fnmatch.fnmatch(path, self._pattern) and os.path.exists(path):
            compress(path)
        return super().lstat(path)


def test_a_file_that_is_compressed_while_it_is_looked_for(hand_log, stub):
    """A rotated file that is compressed between listing and opening is delivered, not passed."""
    hand_log.write(3)
    name = hand_log.rotate()
    hand_log.write(3)
    assert ship(hand_log, stub, fs=CompressingFS(name)) == Shipped(6, 0, 0)
    assert stub.kept == hand_log.written


def test_verify_while_a_file_is_compressed(tmp_path, monkeypatch):
    """The same for verify: a file that is compressed just then is not missing."""
    from bamboo_logmetrics.reading.verification import scan

    path = tmp_path / "a.jsonl"
    with blm.open_log(path, max_bytes=1_000) as log:
        for number in range(30):
            log.info("x", number=number)
    monkeypatch.setattr(scan, "FS", lambda: CompressingFS(f"{path}.2*[0-9a-f]"))
    assert blm.verify([path]).ok


@pytest.mark.parametrize("status_code", [200, 202, 260])
def test_only_204_is_loki(hand_log, stub, status_code):
    """Another success than Loki's own, such as its word for lines that it throws away, is no delivery."""
    hand_log.write(2)
    stub.reply(*[Reply(status_code, body=b"ok")] * 200)
    with pytest.raises(GivenUpError, match=f"{status_code}, which is not how loki acknowledges"):
        ship(hand_log, stub, give_up_after=5, clock=HurriedClock())
    assert load_state(FaultyFS(), hand_log.hidden("checkpoint")).shipped == 0


def test_every_line_refused_at_first(hand_log, stub):
    """Where Elasticsearch refuses every line and has never taken one, it is not set up: nothing is thrown away."""
    hand_log.write(5)
    stub.poison = lambda _: "failed to parse field [@timestamp]"
    with pytest.raises(GivenUpError, match="so far for every line"):
        ship(hand_log, stub, "elasticsearch", give_up_after=5, clock=HurriedClock())
    stub.poison = lambda _: None
    assert ship(hand_log, stub, "elasticsearch") == Shipped(5, 0, 0)


def test_a_server_is_known_again(hand_log, stub):
    """A server that took lines before a restart is not doubted, so that a bad line holds up nothing; another one is."""
    hand_log.write(1)
    ship(hand_log, stub)
    hand_log.write(1)
    stub.poison = lambda _: "bad line"
    assert ship(hand_log, stub, give_up_after=0) == Shipped(0, 1, 0)
    hand_log.write(1)
    with StubServer() as other, pytest.raises(GivenUpError, match="so far for every line"):
        other.poison = stub.poison
        ship(hand_log, other, moved=True, give_up_after=0)


def test_a_line_that_is_too_large_at_first(hand_log, stub):
    """Where a single line is too large and nothing was ever taken, it waits: the server's limit is wrong."""
    hand_log.write(1)
    stub.largest = 10
    with pytest.raises(GivenUpError, match="so far for every line"):
        ship(hand_log, stub, give_up_after=5, clock=HurriedClock())


def test_files_that_go_before_anything_was_delivered_are_lost(hand_log, stub):
    """Lines that are removed while the server is away are lost, exactly, though nothing was delivered before."""
    hand_log.write(3)
    first = hand_log.rotate()
    hand_log.write(3)
    hand_log.rotate()
    hand_log.write(3)
    stub.fail(503, times=200)
    with pytest.raises(GivenUpError):
        ship(hand_log, stub, give_up_after=5, clock=HurriedClock())
    os.unlink(first)
    with StubServer() as server:
        assert ship(hand_log, server, moved=True) == Shipped(6, 0, 3)
    with open(hand_log.hidden("dead-letter"), encoding="utf-8") as file:
        letters = [json.loads(text) for text in file]
    assert any(letter.get("lost") == [1, 3] for letter in letters)
    assert any("is gone" in letter["reason"] for letter in letters)


def test_each_log_has_a_checkpoint_at_once(tmp_path, stub):
    """Retention waits for all logs from the first look on, also for those that are not under way."""
    logs = [HandLog(tmp_path, f"{name}.jsonl") for name in "abc"]
    for each in logs:
        each.write(2)
    stub.fail(503, times=200)
    with pytest.raises(GivenUpError):
        Shipper(f"{tmp_path}/*.jsonl", to="loki", url=stub.url, fs=QuickFS()).run(give_up_after=0)
    assert [found.name for found in status(f"{tmp_path}/*.jsonl")] == ["loki"] * 3


def test_a_line_of_a_newer_version(hand_log, stub):
    """Lines of a newer version stop an older shipper, which throws nothing away."""
    hand_log.write(1)
    hand_log.append(line("a", 2).replace(b'"v":1', b'"v":2'))
    with pytest.raises(ConfigError, match="a line of version 2; this package reads version 1"):
        ship(hand_log, stub)
    assert not os.path.exists(hand_log.hidden("dead-letter"))


def test_a_line_of_somebody_else_with_a_version(hand_log, stub):
    """A line of somebody else's that has a version too is only refused."""
    hand_log.append(b'{"event":"x","v":2,"writer":"me"}\n')
    hand_log.write(1)
    assert ship(hand_log, stub) == Shipped(1, 1, 0)


@pytest.mark.parametrize(
    ("files", "options"), [([], {}), ("a.jsonl", {"batch_bytes": 0}), ("a.jsonl", {"poll_interval": 0})]
)
def test_arguments_without_meaning(files, options):
    """No files, no batch and no pause are refused."""
    with pytest.raises(ConfigError):
        Shipper(files, to="loki", url="http://127.0.0.1:1", **options)


def test_dead_letters_are_as_private_as_the_log(hand_log, stub):
    """The dead-letter file, which holds lines, has the log's mode."""
    hand_log.append(b"junk\n")
    os.chmod(hand_log.path, 0o600)
    assert ship(hand_log, stub) == Shipped(0, 1, 0)
    assert os.stat(hand_log.hidden("dead-letter")).st_mode & 0o777 == 0o600


class OddError(Exception):
    """An error of a class that nobody foresees."""


ERRORS = [
    ValueError,
    TypeError,
    KeyError,
    OverflowError,
    RecursionError,
    AttributeError,
    AssertionError,
    MemoryError,
    OddError,
]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("bad", [{3}, {1, 2, 3, 4, 5}], ids=["one", "all"])
def test_an_error_in_encoding_costs_the_line(hand_log, stub, monkeypatch, error, bad):
    """Whatever error a line raises in an encoder, the line is a dead letter, once, and all other lines are delivered."""
    from bamboo_logmetrics.ship.destinations.loki import Loki

    encode = Loki.encode

    def failing(self, entries):
        if any(entry.head.seq in bad for entry in entries if entry.head.writer == "a" * 20):
            raise error("no form")
        return encode(self, entries)

    monkeypatch.setattr(Loki, "encode", failing)
    hand_log.write(5)
    hand_log.write(1, "b")
    assert ship(hand_log, stub, batch_bytes=500) == Shipped(6 - len(bad), len(bad), 0)
    assert ship(hand_log, stub) == Shipped(0, 0, 0)
    assert sorted(stub.stored) == sorted(each for each in hand_log.written if each[0][0] == "b" or each[1] not in bad)
    with open(hand_log.hidden("dead-letter"), encoding="utf-8") as file:
        letters = [json.loads(text) for text in file]
    assert [ids_in(letter["line"].encode())[0][1] for letter in letters] == sorted(bad)
    assert {letter["reason"] for letter in letters} == {
        f"it cannot take the server's form: {error.__name__}: {error('no form')}"
    }


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_in_decoding_costs_the_line(hand_log, stub, monkeypatch, error):
    """Whatever error a line raises where it is decoded, the line is a dead letter, and all other lines are delivered."""
    from bamboo_logmetrics.ship import entries

    decode = entries._decode

    def failing(line):
        if b'"seq":2,' in line:
            raise error("no line")
        return decode(line)

    monkeypatch.setattr(entries, "_decode", failing)
    hand_log.write(3)
    assert ship(hand_log, stub) == Shipped(2, 1, 0)
    with open(hand_log.hidden("dead-letter"), encoding="utf-8") as file:
        [letter] = map(json.loads, file)
    assert letter["reason"].startswith("not a line of this log: ")


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_in_an_answer_costs_a_pause(hand_log, stub, monkeypatch, error):
    """Whatever error an answer raises where it is parsed, its lines are sent again."""
    from bamboo_logmetrics.ship.destinations.loki import Loki

    parse, answers = Loki.parse_response, []

    def failing(self, entries, body):
        answers.append(body)
        if len(answers) == 1:
            raise error("no answer")
        return parse(self, entries, body)

    monkeypatch.setattr(Loki, "parse_response", failing)
    hand_log.write(1)
    assert ship(hand_log, stub, clock=HurriedClock()) == Shipped(1, 0, 0)
    assert len(answers) == 2


def test_an_encoder_that_takes_no_line(hand_log, stub, monkeypatch):
    """Where no line of a batch can be encoded, it is not the lines: nothing is thrown away."""
    from bamboo_logmetrics.ship.destinations.loki import Loki

    def encode(_self, _entries):
        raise TypeError

    hand_log.write(3)
    monkeypatch.setattr(Loki, "encode", encode)
    with pytest.raises(TypeError):
        ship(hand_log, stub)


def test_a_shipper_that_fails_beside_an_application(hand_log, stub, monkeypatch):
    """An unforeseen error ends the shipper, not the application: it is reported, and close returns False."""
    from bamboo_logmetrics.ship.destinations.loki import Loki

    def encode(_self, _entries):
        raise TypeError("no form")

    hand_log.write(3)
    monkeypatch.setattr(Loki, "encode", encode)
    said = []
    shipper = Shipper(hand_log.path, to="loki", url=stub.url, fs=QuickFS(), on_trouble=said.append)
    shipper.start()
    assert shipper.close() is False
    assert said == ["the shipper stopped: no form"]
    assert load_state(FaultyFS(), hand_log.hidden("checkpoint")).shipped == 0


def test_a_plain_index_is_noticed_once(hand_log, stub):
    """A line in a plain index of Elasticsearch is delivered, and the index is noticed once."""
    hand_log.write(4)
    stub.index = "logs-x"
    notices = []
    options = {"to": "elasticsearch", "batch_bytes": 1, "on_notice": notices.append}
    assert ship(hand_log, stub, **options) == Shipped(4, 0, 0)
    assert len(stub.requests) == 4
    [notice] = notices
    assert notice.startswith("logs-x is a plain index and not a data stream")


def test_waiting_for_a_log_is_not_news(hand_log, stub, capsys):
    """An application that has not written its log yet hears nothing of that."""
    with Shipper(hand_log.path, to="loki", url=stub.url, fs=QuickFS()):
        pass
    assert capsys.readouterr().err == ""


def test_an_application_hears_of_it(hand_log, capsys):
    """Without on_trouble, what is wrong is said on stderr, once a minute for the whole process."""
    hand_log.write(1)
    with pytest.raises(GivenUpError):
        Shipper(hand_log.path, to="loki", url="http://127.0.0.1:1", fs=QuickFS()).run(give_up_after=0)
    assert "shipping to loki: ConnectError" in capsys.readouterr().err
