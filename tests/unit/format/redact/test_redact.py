from __future__ import annotations

import string
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.strategies import EXAMPLES
from support.tools import flat, physical, tool

from bamboo_logmetrics.format import flatten
from bamboo_logmetrics.format.redact import values
from bamboo_logmetrics.format.redact.patterns import MASK
from bamboo_logmetrics.format.redact.values import mask_text, mask_value

HEX = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
ALNUM = "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC2dE4fG6hJ8k"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
PEM = f"-----BEGIN RSA PRIVATE KEY-----\nMIIE{ALNUM}\n{ALNUM}==\n-----END RSA PRIVATE KEY-----"
SECRET = "hunter2hunter2"

# keys by what their makers put before them; each is masked wherever it stands
KNOWN = {
    "openai": "sk-" + ALNUM, "openai project": "sk-proj-" + ALNUM + "_-" + ALNUM, "openai service": "sk-svcacct-" + ALNUM,
    "anthropic": "sk-ant-api03-" + ALNUM + "-_AA", "openrouter": "sk-or-v1-" + HEX * 2, "deepseek": "sk-" + HEX,
    "stripe": "sk_live_" + ALNUM, "google": "AIzaSy" + ALNUM[:33], "google oauth": "ya29." + ALNUM,
    "groq": "gsk_" + ALNUM, "hugging face": "hf_" + ALNUM[:34], "replicate": "r8_" + ALNUM[:37], "cerebras": "csk-" + HEX,
    "fireworks": "fw_" + ALNUM[:24], "nvidia": "nvapi-" + ALNUM + "-_", "together": "tgp_v1_" + ALNUM, "xai": "xai-" + ALNUM * 2,
    "perplexity": "pplx-" + ALNUM, "voyage": "voyage-" + ALNUM, "github": "ghp_" + ALNUM[:36], "github app": "ghs_" + ALNUM[:36],
    "github fine-grained": "github_pat_11ABCDEFG0" + ALNUM + "_" + ALNUM, "gitlab": "glpat-" + ALNUM[:20],
    "aws key id": "AKIAIOSFODNN7EXAMPLE", "aws temporary": "ASIAIOSFODNN7EXAMPLE", "slack bot": "xoxb-123456789012-" + ALNUM,
    "slack app": "xapp-1-A0123-" + ALNUM, "npm": "npm_" + ALNUM[:36], "pypi": "pypi-AgEIcHlwaS5vcmc" + ALNUM,
    "langsmith": "lsv2_pt_" + HEX, "pinecone": "pcsk_" + ALNUM, "jwt": JWT,
}  # fmt: skip

# (text, what it becomes)
TEXTS = [
    (f"Incorrect API key provided: sk-{ALNUM}.", f"Incorrect API key provided: {MASK}."),
    ("Incorrect API key provided: sk-proj-****abcd.", "Incorrect API key provided: sk-proj-****abcd."),
    (f"Authorization: Bearer {SECRET}", f"Authorization: {MASK}"),
    ("Authorization: Basic dXNlcjpwYXNz, Accept: */*", f"Authorization: {MASK}, Accept: */*"),
    (f"proxy-authorization: {SECRET}", f"proxy-authorization: {MASK}"),
    (f'authorization: Digest username="a", response="{HEX}"\nok', f"authorization: {MASK}\nok"),
    (
        f"Authorization: AWS4-HMAC-SHA256 Credential=AKIA/2026/s3, SignedHeaders=host, Signature={HEX}\nok",
        f"Authorization: {MASK}\nok",
    ),
    (f'{{"authorization": "Bearer {SECRET}", "x": 1}}', f'{{"authorization": "{MASK}", "x": 1}}'),
    (f"{{'Authorization': 'token {SECRET}'}}", f"{{'Authorization': '{MASK}'}}"),
    (f"-H 'x-api-key: {SECRET}' -d @-", f"-H 'x-api-key: {MASK}' -d @-"),
    (f"got header Bearer {ALNUM} twice", f"got header Bearer {MASK} twice"),
    ("sent Basic dXNlcjpwYXNzd29yZA== to", f"sent Basic {MASK} to"),
    ("sent basic dXNlcjpwYXNz to", f"sent basic {MASK} to"),
    (f"Token {HEX} is invalid", f"Token {MASK} is invalid"),
    (f"ApiKey {ALNUM}==", f"ApiKey {MASK}"),
    (f"api_key={SECRET}, retries=3", f"api_key={MASK}, retries=3"),
    (f"OPENAI_API_KEY={SECRET}", f"OPENAI_API_KEY={MASK}"),
    (f"{'A' * 90}_API_KEY = {SECRET}", f"{'A' * 90}_API_KEY = {MASK}"),
    (f'export DB_PASSWORD="{SECRET} {SECRET}"', f'export DB_PASSWORD="{MASK}"'),
    (f"dbPassword: {SECRET}; next", f"dbPassword: {MASK}; next"),
    (f"passwd={SECRET}&x=1", f"passwd={MASK}&x=1"),
    (f"AccountName=a;AccountKey={HEX}==;Suffix=b", f"AccountName=a;AccountKey={MASK};Suffix=b"),
    (f"aws_secret_access_key = {ALNUM}/+", f"aws_secret_access_key = {MASK}"),
    (f"client_secret: '{SECRET}'", f"client_secret: '{MASK}'"),
    (f"refresh_token={SECRET}", f"refresh_token={MASK}"),
    (f"id_token: {SECRET}", f"id_token: {MASK}"),
    (f"GITHUB_TOKEN={ALNUM}", f"GITHUB_TOKEN={MASK}"),
    (f'{{"token":"{ALNUM}"}}', f'{{"token":"{MASK}"}}'),
    (f'{{\\"api_key\\": \\"{SECRET}\\"}}', f'{{\\"api_key\\": \\"{MASK}\\"}}'),
    (f"{{b'x-api-key': b'{SECRET}'}}", f"{{b'x-api-key': b'{MASK}'}}"),
    (f"[(b'x-api-key', b'{SECRET}'), (b'a', b'b')]", f"[(b'x-api-key', b'{MASK}'), (b'a', b'b')]"),
    (f"(b'set-cookie', b'sid={SECRET}; Path=/')", f"(b'set-cookie', b'{MASK}')"),
    (f"Cookie: sid={SECRET}; theme=dark\nok", f"Cookie: {MASK}\nok"),
    (f'"set-cookie": "sid={SECRET}; Path=/"', f'"set-cookie": "{MASK}"'),
    (f"postgres://ann:{SECRET}@db/x", f"postgres://{MASK}@db/x"),
    (f"redis://:{SECRET}@cache:6379", f"redis://{MASK}@cache:6379"),
    (f"https://ann:p@{SECRET}@host/a@b", f"https://{MASK}@host/a@b"),
    (f"GET https://x/v1beta?key={SECRET}&alt=sse", f"GET https://x/v1beta?key={MASK}&alt=sse"),
    (f"https://x/cb?code={SECRET}&access_token={SECRET}#top", f"https://x/cb?code={MASK}&access_token={MASK}#top"),
    (f"https://x/b?X-Amz-Signature={HEX}\\u0026sig={HEX}", f"https://x/b?X-Amz-Signature={MASK}\\u0026sig={MASK}"),
    (f"before\n{PEM}\nafter", f"before\n{MASK}\nafter"),
    (f'"private_key": "{PEM}\n", "x": 1'.replace("\n", "\\n"), f'"private_key": "{MASK}", "x": 1'),
    (f"private_key: {PEM}\nafter", f"private_key: {MASK}\nafter"),
    (PEM[:60], MASK),
    (f"line one\\nsk-{ALNUM}", f"line one\\n{MASK}"),
]

HARMLESS = [
    "", "key", "tokens", "bearer of news", "the bearer protocol.", "basic arithmetic, basic auth", "a secret is kept",
    "prompt_tokens=1234 completion_tokens: 567", "max_tokens: 4096", "token count=12345678", "Token usage: 1801",
    "token completion_tokens=123456789012", "invalid_token: The access token expired", "Unexpected token: }",
    "token claude-3-5-sonnet-20241022 costs", "monkey=1, keyboard: qwerty, turnkey", "sort_key(value)", "key: value",
    "6d1f2a7e-3c5b-4e0e-9a41-0c2f4f1f9a77", "task-runner-configuration-2026-final", "disk-usage-of-volume-0001",
    "sk-learn-feature-extraction-text", "sk-SK", "hf_hub_download_with_many_retries", "asiapacificregionalservice",
    "gpt-5-mini", "claude-opus-4-1-20250805", "text-embedding-3-small", "voyage-multilingual-2", "pplx-70b-online",
    "deepseek-r1-distill-llama-70b", "accounts/fireworks/models/llama-v3p1-405b-instruct", "nvidia/llama-3.1-nemotron-70b",
    "https://api.openai.com/v1/chat/completions?stream=true&n=1", "http://localhost:8080/", "ssh://git@github.com/a/b",
    "mail ann@example.com about http://host:80", "sha256:0a1b2c3d4e5f", "image digest 4f3a2b1c9d8e", '{"password": "", "x": 1}',
    "missing ['api_key', 'model']", "credentials", "cookie jar", "signal 9", "basically done", "session_id=s-1 round_id=r-1",
    'Traceback (most recent call last):\n  File "/app/tokenizer.py", line 12, in encode\n    token = next(self.tokens)\n'
    "KeyError: 'key'",
]  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_known_keys_are_masked_wherever_they_stand(name):
    """A key of a known maker is masked alone, in quotes, in a URL, in JSON, after an equals sign and in prose."""
    secret = KNOWN[name]
    for before, after in [
        ("", ""),
        ('"', '"'),
        ("https://x/", "/y"),
        ('{"a":"', '"}'),
        ("k=", " "),
        ("(", ")"),
        ("is ", ", sorry"),
    ]:
        assert mask_text(f"{before}{secret}{after}") == f"{before}{MASK}{after}"


@pytest.mark.parametrize(("text", "masked"), TEXTS, ids=[text[:40] for text, _ in TEXTS])
def test_texts_from_the_wild(text, masked):
    """Headers, URLs, environment, JSON, reprs and PEM blocks lose their secrets and keep their names."""
    assert mask_text(text) == masked
    assert mask_text(masked) == masked


@pytest.mark.parametrize("text", HARMLESS, ids=[text[:30] for text in HARMLESS])
def test_harmless_texts_stay(text):
    """Words, counts, ids, model names, URLs and stack traces are not touched."""
    assert mask_text(text) == text
    assert mask_value("note", [text, {"a": text}]) == [text, {"a": text}]


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.kind)
def test_events_hold_nothing_to_mask(event):
    """The names and values of our own lines are not taken for secrets."""
    line = flatten.expand(event, {}, writer="0" * 20, seq=1, timestamp="2026-11-22T15:47:16.000000Z")
    assert {key: mask_value(key, value) for key, value in line.items()} == line


@pytest.mark.parametrize(
    "key",
    [
        "authorization", "Authorization", "Proxy-Authorization", "api_key", "apiKey", "API-KEY", "x-api-key", "openai_api_key",
        "password", "db_password", "passwd", "passphrase", "secret", "client_secret", "clientSecret", "aws_secret_access_key",
        "private_key", "accessKey", "AccountKey", "ssh_key", "encryption_key", "connection_string", "secret_key_base",
        "password_confirmation", "password2", "DB_PASSWORD", "recovery_codes", "client-key-data",
    ],
)  # fmt: skip
def test_values_under_a_secret_s_key(key):
    """Under such a key any value is masked, a number, list or mapping too; what says nothing stays."""
    for value in ("x", 5, 1.5, ["a"], {"a": "b"}):
        assert mask_value(key, value) == MASK
    assert [mask_value(key, value) for value in (None, True, False, "")] == [None, True, False, ""]
    assert mask_value("headers", {key: "x", "n": [{key: ["x"]}]}) == {key: MASK, "n": [{key: MASK}]}
    assert mask_value("headers", [[key, "x"], ["n", "x"]]) == [[key, MASK], ["n", "x"]]
    assert mask_value("headers", {"name": key, "value": "x"}) == {"name": key, "value": MASK}


@pytest.mark.parametrize(
    "key",
    [
        "token", "github_token", "api_keys", "passwords", "secrets", "auth_tokens", "access_token", "refreshToken", "id_token",
        "sessionToken", "csrf-token", "cookie", "Set-Cookie", "cookies", "credentials", "bearer", "jwt",
    ],
)  # fmt: skip
def test_texts_under_a_token_s_key(key):
    """Under a key such as ``token`` texts are masked, nested ones too, but numbers are counts or ids and stay."""
    assert mask_value(key, "x") == MASK
    assert mask_value(key, [5, "x", {"a": "y", "n": 1}]) == [5, MASK, {"a": MASK, "n": 1}]
    assert mask_value(key, 5) == 5


@pytest.mark.parametrize(
    "key",
    ["tokens", "max_tokens", "prompt_tokens", "key", "keys", "key_id", "private_key_id", "tokenizer", "secretary", "cwd",
     "event_id", "session_id", "author", "password_length", "basic", "", "漢", "first_token", "page_token", "next_page_token",
     "public_key", "cache_key", "pass", "pwd", "pin", "auth", "signature", "session"],
)  # fmt: skip
def test_values_under_other_keys(key):
    """Other keys, however near, hide nothing, and those that also name a secret hide only what looks like one."""
    values = ["/x", 5, [1, "/x"], {"a": ["/x"]}, None, 1.5]
    assert [mask_value(key, value) for value in values] == values


@pytest.mark.parametrize(
    ("key", "secret"),
    [("pwd", SECRET), ("pass", SECRET), ("auth", ALNUM), ("signature", HEX), ("pin", "4928"), ("tokens", [ALNUM, ALNUM]),
     ("auth", f"Bearer {ALNUM}"), ("auth", "Basic dXNlcjpwYXNz"), ("auth", ["bob", SECRET])],
)  # fmt: skip
def test_what_looks_like_a_secret_under_a_key_of_two_meanings(key, secret):
    """A key such as ``pwd`` names a folder as well: what looks like a secret is masked."""
    assert SECRET not in str(mask_value(key, secret))
    assert MASK in str(mask_value(key, secret))


def test_a_form_s_messages_stay():
    """Messages about a field, and a schema, stand under the name of a secret and are none."""
    for value in (["This field is required."], "must be at least 8 characters", {"type": "string"}):
        assert mask_value("password", value) == value
    assert mask_value("password", ["This field is required.", "x"]) == MASK


def test_masked_end_to_end(open_log):
    """No secret reaches the file: not from text, bound values, context, exception, errors or nested keys."""
    log = open_log().bind(auth={"headers": {"Authorization": f"Bearer {SECRET}"}}, dsn=f"pg://a:{SECRET}@h")
    try:
        raise ValueError(f"401 for https://x/?key={SECRET}")
    except ValueError:
        log.exception("call failed with %s", f"api_key={SECRET}", api_key=SECRET)
        log.emit(tool(), exc_info=True, items=[{"password": SECRET}], raw=f"x-api-key: {SECRET}".encode())
    assert log.close()
    assert not [line for line in physical(log.path) if SECRET.encode() in line]
    rows = [row for row in flat(log.path) if "auth" in row]
    assert len(rows) == 2
    assert all(row["dsn"] == f"pg://{MASK}@h" for row in rows)
    assert all(f"401 for https://x/?key={MASK}" in row["exception"] for row in rows)


def test_a_secret_as_a_key_is_masked_in_each_line(open_log):
    """A secret that is itself a key does not reach the file, bound or of a call, of a text or an event; none is lost."""
    key, other = f"sk-proj-{ALNUM}", f"ghp_{ALNUM[:36]}"
    log = open_log()
    log.info("x", **{key: 1, other: 2})
    log.emit(tool(), **{key: 1})
    log.bind(**{key: 1, "n": {other: 3}}).emit(tool())
    log.bind(**{key: 1}).emit(tool())
    log.bind(**{key: 1}).info("y")
    assert log.close()
    text = b"".join(physical(log.path)).decode()
    assert key not in text
    assert other not in text
    assert [(row.get(MASK), row.get(f"{MASK} 2")) for row in flat(log.path)[1:-1]] == [
        (1, 2), (1, None), (1, None), (1, None), (1, None)
    ]  # fmt: skip


# -- any secret, any text -------------------------------------------------------------------

_CHARS = string.ascii_letters + string.digits


def _random(alphabet, least, most):
    """Give random text with a digit and both cases in it, as any real key of that length has."""
    return st.text(alphabet, min_size=least, max_size=most).map(lambda text: f"a7Z{text}")


FORMS = st.one_of(
    st.builds(
        "{}{}".format,
        st.sampled_from(["sk-", "sk-proj-", "sk-ant-api03-", "sk-or-v1-"]),
        _random(_CHARS + "-_", 20, 60),
    ),
    st.builds("{}{}".format, st.sampled_from(["gsk_", "hf_", "r8_", "xai-", "pplx-", "csk-"]), _random(_CHARS, 20, 60)),
    st.builds("{}{}".format, st.sampled_from(["ghp_", "gho_", "github_pat_", "npm_"]), _random(_CHARS, 30, 60)),
    st.builds("AIza{}".format, _random(_CHARS + "-_", 30, 36)),
    st.builds("AKIA{}".format, st.text(string.ascii_uppercase + string.digits, min_size=16, max_size=16)),
    st.builds("xoxb-{}".format, _random(_CHARS + "-", 10, 40)),
    st.builds("eyJ{}.eyJ{}.{}".format, *[_random(_CHARS + "-_", 14, 40)] * 3),
)
NAMED = st.builds(
    "{}{}".format,
    st.sampled_from(
        ["api_key=", "password: ", "X-API-Key: ", "client_secret='", '"access_token":"', "Authorization: Bearer ",
         "Bearer ", "https://x/?key=", "https://x/?sig=", "cookie: sid=", "redis://:"]
    ),
    st.just("§"),
)  # fmt: skip
AROUND = st.text(st.sampled_from(string.ascii_letters + string.digits + " .,:;=/?&@\"'{}[]()\n-_é漢"), max_size=60)
BREAK = st.sampled_from([" ", "\n", '"', "'", "(", ",", "[", ": "])


@given(AROUND, BREAK, FORMS, BREAK, AROUND)
@settings(deadline=None, max_examples=500)
def test_no_known_key_survives_in_any_text(before, start, secret, end, after):
    """A random key of a known form does not survive, whatever text is around it."""
    masked = mask_text(f"{before}{start}{secret}{end}{after}")
    assert secret not in masked
    tail = secret[len(secret) // 2 :]
    assert tail not in masked or tail in before + after
    assert MASK in masked


@given(AROUND, NAMED, _random(_CHARS, 12, 40), AROUND)
@settings(deadline=None, max_examples=500)
def test_no_named_secret_survives_in_any_text(before, named, secret, after):
    """A random secret after a name, in a header or in a URL does not survive, whatever text is around it."""
    end = "@h " if named.startswith("redis") else "\n"
    masked = mask_text(f"{before} {named.replace('§', secret)}{end}{after}")
    assert secret not in masked
    assert MASK in masked


@given(st.text(max_size=60))
@settings(deadline=None, max_examples=200)
def test_masking_twice_changes_nothing_more(text):
    """Masking is stable for any text, and a text without a hint of a secret is returned as the same object."""
    once = mask_text(text)
    assert mask_text(once) == once
    assert once == text or MASK in once


ADVERSARIES = [
    "sk-", "a-", "eyJaaaaaaaa-", "eyJaaaaaaaa_", "eyJaaaaaaaa.", "://a:", "://a:b@", "@b", "key=", "?key", "?a", "api_key ",
    "api_key:", "bearer ", "bearer a", "bearer 1aaaaaaa=", "basic\t", "token ", "token:", "token='", "token 1a.", "cookie",
    "authorization", "authorization:", "authorization: digest ", '"password', "secret", "x-api-", "('", "(b'", "\\", "\\u0026",
    "-----BEGIN ", "-----BEGIN PRIVATE ", "-----BEGIN PRIVATE KEY----", "-----BEGIN PRIVATE KEY-----", "-----END ", "id-", "_", " ",
]  # fmt: skip


RUNS = [
    "sk-",
    "a-",
    "eyJaaaaaaaa-",
    "eyJaaaaaaaa_",
    "eyJaaaaaaaa.",
    "x-api-",
    "id-",
    "://a:b@",
    "ghp_",
]  # nothing ends them


@pytest.mark.timeout(60)
def test_no_text_makes_the_patterns_backtrack():
    """Long texts made of the beginnings of patterns end in time; were the cost quadratic, each would take minutes."""
    for unit in ADVERSARIES:
        for start in ("key", "://"):
            text = start + unit * (50_000 // len(unit)) + "!"
            assert len(mask_text(text)) <= len(text) * 4 + 10, unit
    for unit in RUNS:
        text = "key " + unit * (1_000_000 // len(unit)) + "!"
        assert len(mask_text(text)) <= len(text) * 4 + 10, unit


UNITS = [
    *ADVERSARIES, *RUNS, "token=", "token=token=", "session=", "passphrase: the ", "passphrase: a b c ", 'password="',
    'password=\\"', '"password":[', '"secret":{"a":"b",', "cookie: the a=", "<password ", "<password>", 'name="password" ',
    '["password","', "- name: password\n  value: ", "--password ", "mysql -p", "curl -u a:", "echo a:",
    "insert into t (password) values ('", "identified by ", "a/b@//", "Private-Lines:", "A1B2" * 8 + " ", "password is ",
    'auth=("a",', "password%3D", "password: |\n ", "password={", "_" * 30 + "key", "\x1f-p\x1f", "aA1-" * 5,
    '-----BEGIN PRIVATE KEY-----x"', 'password: "}', '{"a":"password: ', 'curl -u "a:', "curl -u a:b\\", 'authorization: digest ="', "password='",
    "密码是x1", "密码\uff1ax1 ", "| password | X1 |\n", "| password |\n|---|\n", "password:\n  x1\n", "password:\n\n\n", "echo a | ",
    'password={"a":', "password='[", "password=<", "&quot;password&quot;:&quot;", "%22password%22%3A%22", "://aaaaaaaa", "kv put a=b ",
    "password: > \n x\n y", "%3A%2F%2Fa%3A", "<td>password</td><td>", "curl -u ", "vault login ",
]  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_the_work_grows_with_the_text(unit):
    """Four times the text takes about four times the calls of functions and of matches, not sixteen times."""
    counts = []
    for size in (4_000, 16_000):
        text = "key :'" + unit * (size // len(unit))
        counts.append(_calls(lambda text=text: mask_text(text)))
    assert counts[1] <= 6 * counts[0] + 1_000


def _calls(work):
    count = 0

    def profile(*_):
        nonlocal count
        count += 1

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def test_long_keys_are_searched_once_they_are_clipped(open_log, monkeypatch):
    """Nested keys of a megabyte reach the search of the line cut: nothing searches or keeps a long one."""
    longest = 0

    def search(text):
        nonlocal longest
        longest = max(longest, len(text))
        return text

    values._may_show.cache_clear()
    monkeypatch.setattr(values, "mask_secrets", search)
    log = open_log()
    log.info(
        "x", v={f"k{index} " + "a key=b " * 12_500: 1 for index in range(5)}, n={"n": {"k " + "key=b " * 50_000: 1}}
    )
    assert log.close()
    assert len(flat(log.path)) == 3
    assert 0 < longest <= 300
    assert not values.may_show("a" * 301)
    assert values.may_show("a" * 300)


def test_a_token_of_a_model_is_a_part_of_a_text():
    """Under the names of what language models return, and beside a probability, a token is no secret."""
    for key in ("logit_bias", "logprobs", "top_logprobs", "vocab"):
        value = {"token": "x", "a": [{"token": "Hello"}], "password": "x"}
        assert mask_value(key, value) == {**value, "password": MASK}
        assert mask_value("n", {key: value}) == {key: {**value, "password": MASK}}
    assert mask_value("n", [{"token": "Hello", "logprob": -0.1}]) == [{"token": "Hello", "logprob": -0.1}]
    assert mask_value("n", {"token": " Hello"}) == {"token": " Hello"}
    assert mask_value("n", {"token": "Hello"}) == {"token": MASK}


def test_arguments_that_hold_the_separator():
    """A command whose arguments cannot be told apart in one text is masked argument by argument."""
    arguments = ["mysql", f"a{values.BETWEEN}b", "--password=hunter2hunter2"]
    masked = values.USUAL.arguments(arguments)
    assert len(masked) == 3
    assert "hunter2" not in str(masked)


def test_a_name_behind_two_colons_is_code():
    """A name behind ``::``, as in Rust and C++, names no secret."""
    assert mask_text("let k = Config::key = 5") == "let k = Config::key = 5"


# (text, what it becomes): forms that are easily taken for others
EDGES = [
    ("İ contraseña: x1y2, password=x1y2", f"İ contraseña: {MASK}, password={MASK}"),
    ("password=Settings.DB_pass", "password=Settings.DB_pass"),
    ('{"a": "{\\"password\\": \\"x \\\\\\" y\\", \\"n\\": 1}"}', f'{{"a": "{{\\"password\\": \\"{MASK}\\", \\"n\\": 1}}"}}'),
    ("https://committee-member@github.com/x, https://committeemember@github.com/x", None),
    ("https://a1b2c3d4e5@github.com/x, https://a1b2c3d4e5@shop.example/x", f"https://{MASK}@github.com/x, https://a1b2c3d4e5@shop.example/x"),
    ('passwords: {"a": ["' + '", "'.join(["x1"] * 300) + '"], "b": 5}', 'passwords: {"a": ["' + '", "'.join([MASK] * 300) + '"], "b": 5}'),
    ("%22password%22%3A%22x1y2 and", f"%22password%22%3A%22{MASK} and"),
    ('password: "x1\ny2"', f'password: "{MASK}\ny2"'),
    ("login --password=<password> --user=<user>", None),
    ("the password is: sky-blue", f"the password is: {MASK}"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "masked"), EDGES, ids=[text[:30] for text, _ in EDGES])
def test_forms_that_resemble_others(text, masked):
    """Escapes within escapes, users that are no keys, long lists and cut texts lose their secrets alone."""
    assert mask_text(text) == (masked or text)
