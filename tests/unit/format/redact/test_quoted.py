from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bamboo_logmetrics.format.redact.patterns import MASK
from bamboo_logmetrics.format.redact.values import mask_text

SECRET = "Zq8Kd93LmPx2"
# commands and sentences with a secret, § is its place
TEXTS = [
    "curl -u a:§ x", "curl -u 'a:§' x", 'curl -u "a:§" x', "curl -b sid=§ x", "mysql -p§", "mysql -p§ shop", "mysql -p'§' shop",
    "redis-cli -a § ping", "sshpass -p § ssh h", "docker login -p § h", "app --password § x", 'app --password "§" x',
    "gpg --passphrase § x", "openssl rsa -passin pass:§ x", "smbclient -U u%§ x", "the password is § today",
    'the password is "§" today', "the password is §", "password=§", 'password="§" x', "password='§' x", "passphrase: § x9 y z",
    "Authorization: Bearer § x", "curl -H 'Authorization: Digest §' x", "password%3D§", "identified by '§' x",
    'identified by "§" x', "insert into t (a, password) values ('x', '§') x", 'auth=("a", "§") x', "echo § | sudo -S ls",
    'echo "§" | sudo -S ls', "<password>§</password> x", "sqlplus scott/§@db x", "mosquitto_pub -P § x", "7z a -p§ x",
    "lftp -u a,§ x", "https://a:§@h/ x", 'mysql -u x -p"§" x', "PWD={§ x};A=1", "xfreerdp /p:§ x",
]  # fmt: skip
OTHERS = [
    "",
    "x",
    "it's",
    "password: ",
    "password='",
    'token "',
    "a: b, c",
    '{"',
    "\\",
    "<password>",
    "echo 1 \\",
    "the password is ",
]


def _dumped(text, other, times, *, wrap):
    value = {"cmd": text, "n": [other, 5, {"z": "ok"}]}
    for _ in range(times - 1):
        value = {"arguments": json.dumps(value), "o": other}
    whole = json.dumps(value)
    return f"got {whole} from server" if wrap else whole


def _inner(masked, times, *, wrap):
    value = json.loads(masked[4:-12] if wrap else masked)
    for _ in range(times - 1):
        value = json.loads(value["arguments"])
    assert value["n"][1:] == [5, {"z": "ok"}]
    return value["cmd"]


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("text", TEXTS)
def test_json_within_json_stays_valid(text, times):
    """A text with a secret that is dumped as JSON loses the secret alone: each level is valid, the other words stay."""
    masked = mask_text(_dumped(text.replace("§", SECRET), "x", times, wrap=False))
    command = _inner(masked, times, wrap=False)
    assert SECRET not in masked
    assert MASK in command
    words = text.split()
    assert command.split()[-1] == words[-1] or "§" in words[-1] or "passphrase" in words[0] or "{" in words[0]


@given(st.sampled_from(TEXTS), st.sampled_from(OTHERS), st.integers(1, 3), st.booleans())
@settings(deadline=None, max_examples=300)
def test_no_text_beside_a_secret_breaks_the_json(text, other, times, wrap):
    """Whatever text stands in the same JSON, each level stays valid and the secret is gone."""
    masked = mask_text(_dumped(text.replace("§", SECRET), other, times, wrap=wrap))
    assert SECRET not in masked
    _inner(masked, times, wrap=wrap)


@given(st.sampled_from([*OTHERS, *TEXTS]), st.sampled_from(OTHERS), st.integers(1, 3), st.booleans())
@settings(deadline=None, max_examples=300)
def test_the_beginning_of_a_secret_breaks_no_json(text, other, times, wrap):
    """A text that ends where a secret would begin leaves the JSON around it valid."""
    _inner(mask_text(_dumped(text.partition("§")[0], other, times, wrap=wrap)), times, wrap=wrap)
