from __future__ import annotations

import math
import threading

import pytest
from support.destinations import WRITER, destination, entries, timed, too_far_behind, too_old
from support.stub_server import REASON, Reply, StubServer

from bamboo_logmetrics.ship.credentials import Credentials
from bamboo_logmetrics.ship.http import Server
from bamboo_logmetrics.ship.sender import GivenUpError, Sender, StoppedError
from bamboo_logmetrics.testing import ManualClock


class HastyClock(ManualClock):
    """Lets each pause pass at once, and keeps how long it was; ``on_pause`` is called in it."""

    def __init__(self):
        super().__init__(0)
        self.pauses = []
        self.on_pause = lambda: None

    def wait(self, lock, timeout):
        self.pauses.append(timeout)
        self.advance(timeout)
        self.on_pause()
        return lock.acquire(blocking=False)


class Desk:
    """A sender, the server that it sends to, and what it said.

    Args:
        kind: the kind of destination.
        verified: True where the server has taken something before.
        give_up_after: of the sender.
        clock: a HastyClock when left out.
    """

    def __init__(self, kind="loki", *, verified=True, give_up_after=None, clock=None):
        self.stub = StubServer().start()
        self.clock = clock or HastyClock()
        self.wakeup = threading.Lock()
        self.wakeup.acquire()
        self.said = []
        made = destination(kind)
        self.server = Server(self.stub.url, made, Credentials())
        self.server.verified = verified
        self.sender = Sender(
            made, self.server, clock=self.clock, wakeup=self.wakeup, on_trouble=self.said.append, give_up_after=give_up_after
        )  # fmt: skip

    def deliver(self, batch):
        """Deliver lines; return (number, reason) of those that were refused."""
        refusals = self.sender.deliver(self.sender.encode(batch))
        assert all(found.number == len(found.entries) for found in refusals)
        return [(entry.head.seq, found.reason) for found in refusals for entry in found.entries]

    @property
    def stored(self):
        """The numbers of what was stored, in order."""
        return [seq for _, seq in self.stub.stored]

    @property
    def sent(self):
        """The numbers in each request."""
        return [[seq for _, seq in request.ids] for request in self.stub.requests]

    def close(self):
        self.server.close()
        self.stub.stop()


@pytest.fixture
def desk():
    """Make senders, and close them after the test."""
    made = []

    def making(*args, **options):
        made.append(Desk(*args, **options))
        return made[-1]

    yield making
    for item in made:
        item.close()


@pytest.fixture(params=["loki", "elasticsearch", "otlp"])
def kind(request):
    return request.param


def poison(*numbers):
    """Return a server's rule that refuses these numbers."""
    return lambda identity: f"bad line {identity[1]}" if identity[1] in numbers else None


# -- all is well -------------------------------------------------------------------------


def test_one_request(desk, kind):
    """Lines that are taken are one request, and only the end of trouble is reported."""
    it = desk(kind, verified=False)
    assert it.deliver(entries(1, 2, 3)) == []
    assert it.sent == [[1, 2, 3]]
    assert it.stored == [1, 2, 3]
    assert it.clock.pauses == []
    assert set(it.said) == {""}
    assert it.server.verified


# -- trouble that passes -------------------------------------------------------------------


@pytest.mark.parametrize(
    "status", [301, 304, 401, 402, 403, 404, 405, 406, 407, 408, 409, 411, 415, 429, 431, 502, 503, 507]
)
@pytest.mark.parametrize("verified", [True, False])
def test_no_line_is_to_blame(desk, kind, status, verified):
    """A status about the server, the URL or who we are refuses no line: the batch is sent until it is taken."""
    it = desk(kind, verified=verified)
    it.stub.fail(status, times=4)
    assert it.deliver(entries(1, 2)) == []
    assert it.sent == [[1, 2]] * 5
    assert it.stored == [1, 2]
    assert len(it.clock.pauses) == 4
    assert [text for text in it.said if text] == it.said[:4]
    assert str(status) in it.said[0]
    assert it.said[-1] == ""


@pytest.mark.parametrize(
    ("seconds", "longest", "read"), [(math.inf, 30, 30), (4.0, 4, 10), (12.0, 12, 12), (0.1, 0.5, 10)]
)
def test_pauses_and_the_time_to_fill_a_file(desk, seconds, longest, read):
    """No pause and no wait for an answer is much longer than the log needs for a file; Retry-After comes before that."""
    it = desk()
    it.sender._file_seconds = lambda: seconds
    it.stub.fail(503, times=12)
    it.stub.fail(429, {"Retry-After": "60"})
    assert it.deliver(entries(1)) == []
    assert longest / 2 <= max(it.clock.pauses[:-1]) <= longest
    assert it.clock.pauses[-1] == 60
    assert it.server.read_timeout == read


@pytest.mark.parametrize("status", [500, 504])
def test_perhaps_too_much(desk, kind, status):
    """A server that breaks at a batch, or takes too long, gets parts of it; the more it breaks, the smaller they are."""
    it = desk(kind)
    it.stub.fail(status, times=5)
    assert it.deliver(entries(*range(1, 17))) == []
    assert [len(numbers) for numbers in it.sent] == [16, 8, 4, 2, 1, 1, 1, 2, 4, 8]
    assert it.stored == list(range(1, 17))
    assert len(it.clock.pauses) == 5


@pytest.mark.parametrize(
    ("status", "advice"), [(401, "authentication failed"), (403, "permission denied"), (404, "check the URL")]
)
def test_advice(desk, status, advice):
    """Where somebody has to do something, the trouble says what."""
    it = desk()
    it.stub.fail(status, body=b"the server's words")
    it.deliver(entries(1))
    assert advice in it.said[0]
    assert "the server's words" in it.said[0]


def test_pauses_grow(desk):
    """Each pause is half to all of 0.5, 1, 2 ... 30 seconds, by chance, and begins anew after a success."""
    it = desk()
    for _ in range(2):
        it.clock.pauses.clear()
        it.stub.fail(503, times=12)
        it.deliver(entries(1))
        for pause, most in zip(it.clock.pauses, [0.5, 1, 2, 4, 8, 16, *[30] * 6], strict=True):
            assert most / 2 <= pause <= most
    assert len(set(it.clock.pauses)) == 12


@pytest.mark.parametrize(
    ("text", "low", "high"), [("100", 100, 100), ("0", 0.25, 0.5), ("9999", 600, 600), ("x", 0.25, 0.5)]
)
def test_retry_after(desk, text, low, high):
    """A server is given the time that it asks for, ten minutes at most, and never less than our own pause."""
    it = desk()
    it.stub.fail(429, {"Retry-After": text})
    it.deliver(entries(1))
    [pause] = it.clock.pauses
    assert low <= pause <= high


def test_an_answer_that_was_lost(desk, kind):
    """A batch that was stored, but not acknowledged, is sent again; Loki and Elasticsearch keep it once."""
    it = desk(kind)
    it.stub.reset(times=2)
    assert it.deliver(entries(1, 2)) == []
    assert it.stub.kept == [(WRITER, number) for number in ((1, 2) if kind != "otlp" else (1, 1, 1, 2, 2, 2))]


def test_answers_that_say_nothing(desk, kind):
    """A success that is not one of the interface, such as a web page, is not taken for a delivery."""
    it = desk(kind)
    it.stub.reply(Reply(200, body=b"<html>hello</html>"), Reply(200, body=b"<" * 20_000_000))
    if kind != "loki":
        it.stub.reply(Reply(200, body=b"[" * 100_000))
    assert it.deliver(entries(1)) == []
    assert it.stored == [1]
    assert (f"not one of {kind}" if kind != "loki" else "200, which is not how loki acknowledges lines") in it.said[0]
    assert "8,388,608" in it.said[1]


def test_secrets_in_what_is_said(desk):
    """The words of a server in an answer of success are shown without secrets too."""
    it = desk("elasticsearch")
    answer = '{"errors":true,"items":[{"create":{"status":%d,"error":{"reason":"sk-proj-abcdefghijklmnop%d"}}}]}'
    it.stub.reply(Reply(200, body=(answer % (503, 1234)).encode()), Reply(200, body=(answer % (400, 1234)).encode()))
    [(_, reason)] = it.deliver(entries(1))
    assert it.said[0] == "503: [redacted]"
    assert reason == "400: [redacted]"


# -- giving up -----------------------------------------------------------------------------


def test_giving_up_comes_before_retry_after(desk):
    """A pause is not longer than the time that is left before giving up, and then the server is asked once more."""
    it = desk(give_up_after=100)
    it.stub.fail(429, {"Retry-After": "600"}, times=2)
    with pytest.raises(GivenUpError):
        it.deliver(entries(1))
    assert it.clock.pauses == [100]
    assert len(it.stub.requests) == 2


def test_giving_up(desk):
    """When nothing is delivered for so long, the last error is raised."""
    it = desk(give_up_after=60)
    it.stub.fail(503, body=b"down", times=100)
    with pytest.raises(GivenUpError, match=r"nothing could be delivered for \d+ s: 503 Service Unavailable: down"):
        it.deliver(entries(1))
    assert sum(it.clock.pauses) == pytest.approx(60)
    assert it.stored == []


def test_giving_up_at_once(desk):
    """With no time to wait the first error is raised, and no pause is made."""
    it = desk(give_up_after=0)
    it.stub.fail(500)
    with pytest.raises(GivenUpError):
        it.deliver(entries(1))
    assert it.clock.pauses == []


def test_giving_up_counts_from_the_last_success(desk):
    """Time in which there was nothing to deliver, and time before a part was delivered, counts for nothing."""
    it = desk("elasticsearch", give_up_after=60)
    it.clock.advance(1000)
    it.stub.fail(503)
    it.deliver(entries(1))
    it.clock.on_pause = lambda: it.clock.advance(59)
    it.stub.item = lambda identity, times: 429 if times < identity[1] else None
    assert it.deliver(entries(2, 3, 4, 5, 6)) == []
    assert sum(it.clock.pauses) < 60


def test_never_giving_up(desk):
    """Without a limit, days of trouble raise nothing."""
    it = desk()
    it.clock.on_pause = lambda: it.clock.advance(86_400)
    it.stub.fail(503, times=30)
    assert it.deliver(entries(1)) == []


# -- stopping ------------------------------------------------------------------------------


def test_stop_in_a_pause(desk):
    """The bell ends a pause and the delivery, and stays rung for all who wait for it."""
    it = desk()
    it.clock.on_pause = it.wakeup.release
    it.stub.fail(503, times=100)
    with pytest.raises(StoppedError):
        it.deliver(entries(1))
    assert not it.wakeup.locked()
    assert len(it.sent) == 1


def test_stop_from_another_thread(desk):
    """A pause under way ends when another thread rings."""
    it = desk(clock=ManualClock())
    it.stub.fail(503, times=100)
    outcome = []

    def deliver():
        try:
            it.deliver(entries(1))
        except StoppedError as error:
            outcome.append(error)

    thread = threading.Thread(target=deliver)
    thread.start()
    assert it.clock.until_waiting()
    it.wakeup.release()
    thread.join(30)
    assert len(outcome) == 1


# -- bad lines -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["loki", "elasticsearch"], indirect=True)
@pytest.mark.parametrize("bad", [(1,), (8,), (16,), (3, 4), (1, 16), tuple(range(1, 17))], ids=str)
def test_bad_lines_are_found(desk, kind, bad):
    """Of a batch with bad lines, these are refused, each with its own reason, and all others are stored once, in order."""
    it = desk(kind)
    it.stub.poison = poison(*bad)
    found = it.deliver(entries(*range(1, 17)))
    assert [number for number, _ in found] == list(bad)
    assert all(reason.endswith(f"bad line {number}") for number, reason in found)
    assert it.stored == [number for number in range(1, 17) if number not in bad]
    assert it.clock.pauses == []
    if kind == "elasticsearch":
        assert len(it.sent) == 1
        assert found[0][1].startswith(f"400: {REASON}: ")
    else:
        assert len(it.sent) <= 1 + len(bad) * 2 * math.log2(16)


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("times", [1, 2])
def test_a_bad_body(desk, kind, status, times):
    """Where a whole batch is refused, its parts are tried; what was a whim of the server loses nothing."""
    it = desk(kind)
    it.stub.fail(status, times=times)
    assert it.deliver(entries(1, 2, 3, 4)) == []
    assert it.stored == [1, 2, 3, 4]
    assert it.sent[1] == [1, 2]


@pytest.mark.parametrize("count", [2, 10])
def test_the_first_line_is_too_large(desk, kind, count):
    """A first line that is too large stops no other, also where nothing was ever taken."""
    it = desk(kind, verified=False)
    it.stub.largest = 4_000
    [(number, reason)] = it.deliver(entries(1, note="x" * 4_000) + entries(*range(2, count + 1)))
    assert (number, reason[:4]) == (1, "413 ")
    assert sorted(set(it.stored)) == list(range(2, count + 1))
    assert it.clock.pauses == []


def test_refused_and_not_now_at_first(desk):
    """Where nothing was ever taken, lines that are refused beside others that are to wait are not believed yet."""
    it = desk("elasticsearch", verified=False)
    it.stub.poison = poison(1, 2)
    it.stub.item = lambda _id, times: 429 if times == 1 else None
    assert [number for number, _ in it.deliver(entries(1, 2, 3))] == [1, 2]
    assert it.sent == [[1, 2, 3], [1, 2, 3]]
    assert "so far for every line" in it.said[0]


@pytest.mark.parametrize("verified", [True, False])
def test_too_large(desk, kind, verified):
    """A batch that is too large is halved until its parts are taken; a line that is too large alone is refused."""
    it = desk(kind, verified=verified)
    batch = entries(1, 2, 3, 4, 5, 6) + entries(7, note="x" * 4_000) + entries(8)
    it.stub.largest = 4_000
    [(number, reason)] = it.deliver(batch)
    assert number == 7
    assert reason.startswith("413 ")
    assert reason.endswith(": request body too large")
    assert it.stored == [1, 2, 3, 4, 5, 6, 8]
    assert it.clock.pauses == []


def test_trouble_between_halves(desk):
    """Trouble while a batch is taken apart is waited for; nothing is sent twice, and nothing is refused for it."""
    it = desk()
    it.stub.poison = poison(2)
    it.stub.reply(Reply(), Reply(503), Reply(), Reply(429))
    assert [number for number, _ in it.deliver(entries(1, 2, 3, 4))] == [2]
    assert it.stored == [1, 3, 4]
    assert len(it.clock.pauses) == 2


def test_only_failed_items_are_sent_again(desk):
    """Elasticsearch says which lines it could not take: only these are sent again, until they are taken or refused."""
    it = desk("elasticsearch")
    it.stub.item = lambda identity, times: 429 if times < identity[1] else None
    it.stub.poison = poison(3)
    assert [number for number, _ in it.deliver(entries(1, 2, 3, 4))] == [3]
    assert it.sent == [[1, 2, 3, 4], [2, 4], [4], [4]]
    assert it.stored == [1, 2, 4]
    assert it.said[1] == "429: some_exception: not just now"


def test_a_blocked_index(desk):
    """Where every item is refused by a block, the same body is sent again, and no line is to blame."""
    it = desk("elasticsearch", verified=False)
    it.stub.item = lambda _, times: 403 if times < 4 else None
    assert it.deliver(entries(1, 2)) == []
    assert it.sent == [[1, 2]] * 4
    assert len({request.body for request in it.stub.requests}) == 1
    assert len(it.clock.pauses) == 3


def test_what_otlp_refuses(desk):
    """A part that an OTLP server refuses is counted and not sent again; which lines they are, it does not say."""
    it = desk("otlp")
    it.stub.poison = poison(2, 4)
    [refusal] = it.sender.deliver(it.sender.encode(entries(1, 2, 3, 4)))
    assert (len(refusal.entries), refusal.number) == (4, 2)
    assert len(it.sent) == 1


# -- is it the lines, or the URL? --------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_that_takes_nothing(desk, kind, status):
    """A server that refuses every batch, and has taken nothing yet, may stand at a wrong URL: no line is refused."""
    it = desk(kind, verified=False)
    it.stub.fail(status, body=b"unsupported path", times=200)
    it.clock.on_pause = lambda: it.stub._replies.clear() if len(it.clock.pauses) == 5 else None
    batch = entries(*range(1, 101))
    assert it.deliver(batch) == []
    assert it.stored == list(range(1, 101))
    assert it.said[0].endswith("unsupported path (so far for every line: is this the right URL?)")
    assert [len(numbers) for numbers in it.sent] == [100, *[1] * 8] * 5 + [100]


def test_a_server_that_takes_nothing_for_good(desk):
    """Giving up ends such a delivery like any other, and all lines are still to be delivered."""
    it = desk(verified=False, give_up_after=300)
    it.stub.poison = poison(*range(1, 101))
    with pytest.raises(GivenUpError, match="right URL"):
        it.deliver(entries(*range(1, 101)))
    assert len(it.sent) < 200
    assert not it.server.verified


@pytest.mark.parametrize("kind", ["loki", "otlp"], indirect=True)
def test_a_single_line_that_is_refused(desk, kind):
    """With one line only, nothing can tell whether it is the line: it waits."""
    it = desk(kind, verified=False)
    it.stub.fail(400, times=3)
    assert it.deliver(entries(1)) == []
    assert it.sent == [[1]] * 4


def test_bad_lines_at_first(desk):
    """Bad lines in the very first batch are found all the same, once a single line is taken."""
    it = desk(verified=False)
    it.stub.poison = poison(2, 15)
    assert [number for number, _ in it.deliver(entries(*range(1, 17)))] == [2, 15]
    assert sorted(set(it.stored)) == [number for number in range(1, 17) if number not in {2, 15}]
    assert it.clock.pauses == []
    assert it.stub.kept == [(WRITER, number) for number in sorted(set(it.stored))]


def test_mostly_bad_lines_at_first(desk):
    """A batch that is nearly all bad waits until a line that is taken is tried, and then it goes on."""
    it = desk(verified=False)
    it.stub.poison = poison(*range(2, 101))
    assert len(it.deliver(entries(*range(1, 101)))) == 99
    assert set(it.stored) == {1}


def test_a_probe_that_meets_trouble(desk):
    """While single lines are tried, trouble and answers of another kind prove nothing."""
    it = desk("elasticsearch", verified=False)
    it.stub.fail(400)
    it.stub.reply(Reply(503), Reply(200, body=b"<html>"), Reply(404))
    assert it.deliver(entries(1, 2, 3)) == []
    assert [len(numbers) for numbers in it.sent] == [3, 1, 1, 1, 3]


# -- what Loki names -----------------------------------------------------------------------------


@pytest.mark.parametrize("verified", [True, False])
def test_lines_too_old_for_loki(desk, verified):
    """Lines that Loki says are too old are refused with one request, and all others are taken for delivered."""
    it = desk(verified=verified)
    it.stub.reply(Reply(400, body=too_old(2).encode(), store=True))
    found = it.deliver(timed(3, 1, 2, 0))
    assert [number for number, _ in found] == [4, 2]
    assert all(reason.startswith("400 Bad Request: 2 errors like: entry for stream") for _, reason in found)
    assert len(it.sent) == 1
    assert it.server.verified


def test_lines_too_far_behind_for_loki(desk):
    """Lines too far behind are asked about by stream, as Loki counts them, not one by one."""
    it = desk()
    first, second = timed(0, 1, 2, 3), entries(5, 6, 7, env="b")
    answers = [too_far_behind(2, 4), too_far_behind(2, 4), too_far_behind(3, 3)]
    it.stub.reply(*(Reply(400, body=answer.encode()) for answer in answers))
    found = it.deliver([first[0], *second, *first[1:]])
    assert [number for number, _ in found] == [1, 2, 5, 6, 7]
    assert it.sent == [[1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4], [5, 6, 7]]


def test_a_probe_that_is_rejected_by_name(desk):
    """A line that is refused in words of Loki's proves that it is Loki that answers."""
    it = desk(verified=False)
    it.stub.fail(400, body=b"max entry size exceeded")
    it.stub.fail(400, body=too_far_behind(1, 1).encode())
    assert it.deliver(entries(1, 2, 3, 4)) == []
    assert it.sent[2:] == [[1, 2], [3, 4]]
    assert it.clock.pauses == []
