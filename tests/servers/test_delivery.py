"""A log that four processes write and rotate, delivered live to real servers by shippers that are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from contextlib import ExitStack

import pytest
from support import outage, recount

from bamboo_logmetrics.ship import status

HERE = os.path.dirname(__file__)
PROCESSES = 4
BATCH = 1024 * 1024

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]


def emitters(path, *, rate, events):
    """Start the processes that write the log."""
    script = os.path.join(HERE, "workload.py")
    return [
        subprocess.Popen(
            [sys.executable, script, str(path), str(events), str(seed), str(rate)], stdout=subprocess.PIPE, text=True
        )
        for seed in range(PROCESSES)
    ]


def finish(processes):
    """Wait for the processes; return what each said of itself."""
    said = [json.loads(process.communicate(timeout=300)[0].splitlines()[-1]) for process in processes]
    assert [process.returncode for process in processes] == [0] * PROCESSES
    return said


class Follower:
    """A shipper that follows a log, in a process of its own.

    Args:
        path: the log.
        arguments: of ``bamboo-logmetrics ship``, but the log and ``--follow``.
    """

    def __init__(self, path, *arguments):
        self._command = [sys.executable, "-m", "bamboo_logmetrics", "ship", str(path), *arguments]
        self._process = None

    def start(self):
        """Start it."""
        self._process = subprocess.Popen(
            [*self._command, "--follow"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def kill(self):
        """Kill it where it stands, and start it again."""
        assert self._process.poll() is None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(30)
        self.start()

    def stop(self):
        """Stop it as a service manager would."""
        self._process.terminate()
        assert self._process.wait(60) == 0


@pytest.fixture
def followers():
    """Give a list; the shippers in it are killed when the test is over."""
    started = []
    yield started
    for follower in started:
        if follower._process is not None and follower._process.poll() is None:
            follower._process.kill()
            follower._process.wait(30)


def delivered(path, name):
    """Wait until a shipper has nothing before it; return how far it is."""

    def look():
        found = {item.name: item for item in status(path)}.get(name)
        return found if found is not None and found.lag_bytes == 0 else None

    return recount.eventually(look, timeout=300)


class ToVictoriaLogs:
    """VictoriaLogs by Loki push: how it is shipped to, and asked."""

    name, faults = "victoria", ("reset", "429", "500")

    def __init__(self, service):
        self.url = os.environ["BAMBOO_TEST_VICTORIALOGS_URL"]
        self.server = recount.VictoriaLogs(self.url, service)

    def follower(self, path, url):
        return Follower(
            path, "--to", "loki", "--name", self.name, "--url", f"{url}/insert", "--service", self.server.service
        )

    def check(self, files):
        """Each line is there, and only what a kill left under way is there twice."""
        found = self.server.ids()
        assert set(found) == {(line["writer"], line["seq"]) for line in files}
        repeats = sum(found.values()) - len(found)
        assert repeats <= 5 * BATCH // min(len(json.dumps(line, separators=(",", ":"))) for line in files)
        print(f"{self.name}: {len(files)} lines, {repeats} of them twice")


class ToElasticsearch:
    """OpenSearch by bulk requests: how it is shipped to, and asked."""

    name, faults = "elasticsearch", ("429", "lost", "partial", "500")

    def __init__(self, service):
        self.url = os.environ["BAMBOO_TEST_ELASTICSEARCH_URL"]
        self.server = recount.Elastic(self.url, service, DATA_STREAM)
        apply = [sys.executable, "-m", "bamboo_logmetrics", "config", "opensearch", "--apply", "--url", self.url]
        subprocess.run(apply, check=True, stdout=subprocess.DEVNULL)

    def follower(self, path, url):
        return Follower(path, "--to", self.name, "--url", url, "--service", self.server.service)

    def check(self, files):
        """Each line is there exactly once, with the types that were declared."""
        assert self.server.count() == len(files)
        assert self.server.types(*TYPES) == TYPES


DATA_STREAM = "logs-bamboo.events-default"
TYPES = {
    "@timestamp": "date", "bamboo.seq": "long", "bamboo.writer": "keyword", "event.action": "keyword",
    "event.duration": "long", "gen_ai.request.model": "keyword", "gen_ai.tool.name": "keyword",
    "gen_ai.usage.input_tokens": "integer", "http.response.status_code": "long",
}  # fmt: skip


@pytest.fixture
def destinations():
    """Give what the environment names, or skip."""
    kinds = {"VICTORIALOGS": ToVictoriaLogs, "ELASTICSEARCH": ToElasticsearch}
    service = f"test-{uuid.uuid4().hex[:12]}"
    found = [kind(service) for name, kind in kinds.items() if f"BAMBOO_TEST_{name}_URL" in os.environ]
    return found or pytest.skip("neither BAMBOO_TEST_VICTORIALOGS_URL nor BAMBOO_TEST_ELASTICSEARCH_URL names a server")


def check(path, started, destinations, count):
    """Wait until all is delivered, and compare what the servers say with a recount of the files."""
    afterwards = [delivered(path, destination.name) for destination in destinations]
    for follower in started:
        follower.stop()
    files = list(recount.lines(path))
    assert len([line for line in files if not line["event"].startswith("system.")]) == count
    for destination, after in zip(destinations, afterwards, strict=True):
        assert (after.refused, after.lost, after.lag_bytes, after.error) == (0, 0, 0, "")
        destination.server.flush()
        assert destination.server.totals() == recount.totals(files)
        destination.check(files)


def test_killed_five_times(tmp_path, followers, destinations):
    """Of 200,000 events of four processes, delivered while they are written, five kills of the shippers lose none."""
    path = tmp_path / "agent.jsonl"
    processes = emitters(path, events=50_000, rate=2_500)
    followers += [destination.follower(path, destination.url) for destination in destinations]
    for follower in followers:
        follower.start()
    for number, _ in zip(range(11), processes[0].stdout, strict=False):
        if number in {2, 4, 6, 8, 10}:
            for follower in followers:
                follower.kill()
    finish(processes)
    check(path, followers, destinations, 200_000)


def test_an_outage(tmp_path, followers, destinations):
    """Servers that are at fault for 30 seconds cost no event, and nothing is delivered twice that has an id."""
    path = tmp_path / "agent.jsonl"
    with ExitStack() as stack:
        proxies = [stack.enter_context(outage.Outage(destination.url)) for destination in destinations]
        processes = emitters(path, events=20_000, rate=500)
        followers += [to.follower(path, proxy.url) for to, proxy in zip(destinations, proxies, strict=True)]
        for follower in followers:
            follower.start()
        processes[0].stdout.readline()
        processes[0].stdout.readline()
        for moment in range(12):
            for to, proxy in zip(destinations, proxies, strict=True):
                proxy.fault = to.faults[moment * len(to.faults) // 12]
            threading.Event().wait(30 / 12)
        for proxy in proxies:
            proxy.fault = ""
        print("emitted while the servers were at fault, ns:", finish(processes))
        check(path, followers, destinations, 80_000)
        assert all(proxy.faults for proxy in proxies)
