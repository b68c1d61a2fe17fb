"""A receiver that is killed while it writes: nothing acknowledged is lost, and nothing that is sent again comes twice."""

from __future__ import annotations

import collections
import itertools
import signal
import subprocess
import sys
import threading

import httpx
from support.exporting import JSON, call, logs_of

import bamboo_logmetrics as blm

COMMAND = [sys.executable, "-m", "bamboo_logmetrics", "receive", "--listen", "127.0.0.1:0", "--log"]


class Started:
    """A receiver as a process of its own.

    Attributes:
        url: its address.
    """

    def __init__(self, path):
        self.process = subprocess.Popen([*COMMAND, str(path)], stderr=subprocess.PIPE, text=True)
        self.url = next(word.rstrip(",") for word in self.process.stderr.readline().split() if "http://" in word)

    def end(self, number):
        self.process.send_signal(number)
        self.process.stderr.read()
        self.process.stderr.close()
        return self.process.wait()


def rounds_in(path):
    lines = (line.event for line in blm.read(path, on_error="skip"))
    return collections.Counter(event.round_id for event in lines if isinstance(event, blm.RoundCompleted))


def send(client, url, number):
    """Send a call; again while the answer is 503, as exporters do, because the disk may be slow."""
    answer = client.post(f"{url}/v1/logs", content=logs_of(call(number)), headers=JSON)
    while answer.status_code == 503:
        answer = client.post(f"{url}/v1/logs", content=logs_of(call(number)), headers=JSON)
    answer.raise_for_status()


def send_until_refused(url, numbers, acknowledged):
    """Send calls one after the other until the receiver is gone."""
    with httpx.Client(trust_env=False, timeout=30) as client:
        try:
            for number in numbers:
                send(client, url, number)
                acknowledged.append(number)
        except httpx.TransportError:
            pass


def test_killed_and_started_again(path):
    """Killed in the middle and started again, a receiver has each call once, whether its exporter got an answer or not."""
    receiver, acknowledged = Started(path), []
    senders = [
        threading.Thread(target=send_until_refused, args=(receiver.url, itertools.count(first, 4), acknowledged))
        for first in range(4)
    ]
    for sender in senders:
        sender.start()
    while len(acknowledged) < 100 and any(sender.is_alive() for sender in senders):
        senders[0].join(0.01)
    receiver.end(signal.SIGKILL)
    for sender in senders:
        sender.join()
    kept = rounds_in(path)
    assert len(acknowledged) >= 100
    assert sum(kept.values()) == len(kept) >= len(acknowledged)

    again = Started(path)
    sent = max(acknowledged) + 5
    send_until_refused(again.url, range(sent), [])
    assert again.end(signal.SIGTERM) == 0
    rounds = rounds_in(path)
    assert kept.keys() <= rounds.keys()
    assert set(rounds.values()) == {1}
    assert len(rounds) == sent
