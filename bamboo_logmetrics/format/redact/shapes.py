"""Secrets that are known by their shape: keys with a provider's prefix, web tokens, URLs, private keys."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bamboo_logmetrics.format.redact.looks import MASK, is_placeholder, is_slug, words
from bamboo_logmetrics.format.redact.quoted import before_quote
from bamboo_logmetrics.format.redact.texts import Span

# -- keys with a prefix ----------------------------------------------------------------------

# Prefixes that providers give their keys, so that scanners recognize them, and what follows; by the first letter. The
# case matters.
_TOKENS = r"""
    [sr]k-(?=[\w-]{0,40}\d)[\w-]{16,}  # OpenAI, Anthropic, OpenRouter, DeepSeek
  | [srp]k_(?:live|test|prod)_\w{10,}                              # Stripe
  | s(?:b_secret_[\w-]{20,} | bp_[a-f0-9]{40} | gp_\w{40,} | m_[aps]at_\w{16,} | ntry[us]_[\w+/=]{40,} | ecret_\w{40,}
      | hippo_(?:live|test)_\w{30,}
      | hp(?:at|ca|pa|ss)_\w{32,} | q0(?:csp|atp)-[\w-]{20,} | ha256~[\w-]{40,}
      | \.[A-Za-z0-9]{24}(?![\w.]) | -s4t2(?:ud|af)-\w{60,})
  | A(?:Iza[\w-]{30,} | (?:KIA|SIA|BIA|CCA)[0-9A-Z]{16} | BSK[\w+/]{100,}={0,2} | KCp\w{60,} | GE-SECRET-KEY-1\w{50,}
      | TATT3[\w=-]{40,} | TBB\w{28,} | 3-[A-Z0-9]{6}-[A-Z0-9-]{23,} | PI-[A-Z0-9]{26} | 3T[A-Z0-9]{17})
  | y(?:a29\.[\w-]{20,})
  | g(?:sk_[a-zA-Z0-9]{20,} | h(?:[pousr]|es)_\w{20,} | ithub_pat_\w{20,} | loas-\w{40,} | lptt-\w{40,}
      | lagent-[\w-]{40,}
      | l(?:pat|dt|rt|cbt|ft|soat|imt|ffct)-[\w.-]{16,} | lsa_\w{30,} | lc_[\w+/=]{30,})
  | G(?:OCSPX-[\w-]{20,} | R1348941[\w-]{20,})
  | h(?:f_[a-zA-Z0-9]{20,} | v[sbr]\.[\w-]{20,})
  | H(?:RKU-[\w-]{30,})
  | n(?:vapi-[\w-]{20,} | pm_[A-Za-z0-9]{30,} | tn_\w{40,} | fp_\w{30,})
  | N(?:R(?:AK|II|JS|AL)-[\w-]{19,})
  | x(?:ai-[a-zA-Z0-9]{20,} | ox[abeoprs][-.][\w.-]{10,} | app-[\w-]{10,} | keysib-[\w-]{60,})
  | p(?:plx-[a-zA-Z0-9]{20,} | ypi-[\w-]{30,} | csk_\w{20,} | at[A-Za-z0-9]{14}\.[a-f0-9]{60,} | ul-[a-f0-9]{40}
      | nu_\w{36}
      | scale_(?:tkn|oauth|pw)_[\w=.-]{30,} | h[cx]_\w{40,} | 8e-[a-z0-9]{32})
  | P(?:MAK-[\w-]{40,})
  | t(?:gp_v1_[\w-]{20,} | vly-[\w-]{20,} | skey-\w+-[\w-]{20,} | fp_[\w.=-]{40,} | k-us-[\w-]{40,})
  | c(?:sk-[a-z0-9A-Z]{20,} | fut_\w{30,} | mVmd\w{50,})
  | C(?:LOJARS_\w{50,})
  | r(?:8_[a-zA-Z0-9]{20,} | pa_[A-Z0-9]{30,} | dme_\w{60,}
      | ubygems_\w{40,} | e_[A-Za-z0-9]{8}_[A-Za-z0-9]{20,})
  | f(?:w_[a-zA-Z0-9]{20,} | igd_[\w-]{30,} | io-u-[\w-]{60,} | o1_[\w-]{40,}
      | m[12][ar]?_[\w+/=,]{80,} | c-[a-f0-9]{32})
  | F(?:LWSECK(?:_TEST)?-[\w-]{12,})
  | l(?:sv2_\w{20,} | in_(?:api|oauth)_\w{30,})
  | L(?:TAI[A-Za-z0-9]{16,})
  | d(?:o[opr]_v1_\w{40,} | ckr_[po]at_[\w-]{20,} | api[a-f0-9]{32}(?:-\d)? | p\.(?:pt|st|ct|scim|audit)\.[\w.]{30,}
      | t0[cs]\d\d\.[\w.]{40,} | uffel_(?:live|test)_[\w=-]{30,})
  | e(?:yJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*){1,3} | yJrIjoi\w{60,}={0,3} | 2b_[a-f0-9]{40})
  | E(?:AA[AC]\w{20,}[\w-]* | Z[AT]K\w{50,})
  | S(?:G\.[\w-]{16,}\.[\w-]{30,} | K[a-f0-9]{32}(?!\w))
  | a(?:pi_org_[a-zA-Z0-9]{30,})
  | b(?:ot\d{8,10}:AA[\w-]{32,} | edrock-api-key-[\w+/=]{30,})
  | j(?:ina_\w{40,})
  | k(?:ey-[a-f0-9]{32}(?!\w))
  | o(?:ps_eyJ[\w+/=]{100,} | at_\w{40,})
  | v(?:oyage-(?=[\w-]{0,40}\d)[a-zA-Z0-9]{20,} | ercel_blob_rw_\w{20,} | 1\.0-[a-f0-9]{24}-[a-f0-9]{100,})
  | w(?:hsec_[\w+/=]{24,} | andb_v1_\w{40,})
  | 1//0[\w-]{30,}
  | \d{8,10}:AA[\w-]{32,}                                          # Telegram
  | [MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,}                        # Discord
  | [a-zA-Z0-9]{14}\.atlasv1\.[\w=-]{60,}                          # Terraform
  | [\w~.]{3}\dQ~[\w~.-]{31,}                                      # Azure
  | [a-f0-9]{32}-us\d{1,2}(?!\w)                                   # Mailchimp
"""
_TOKEN = re.compile(_TOKENS, re.VERBOSE | re.ASCII)
_LEAST_RUN = 16  # word characters in a row, one of which is a digit: in each such key
_RUN = b"a" * _LEAST_RUN
_TO_RUNS = bytes(97 if chr(code).isalnum() or chr(code) in "-_" else 32 for code in range(128)) + b" " * 128
_JOINED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.:/~?"
_MOST_BACK = 45  # characters before a run: a key may have parts
_START = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]|(?<=\\[nrt])[A-Za-z0-9]")
_DIGIT = re.compile(r"\d")
_HEADS = words(
    "sk rk pk sb sg sm sn se sh sq s. s- AI AK AS AB AC AG AT A3 AP ya gs gh gi gl GO GR hf hv HR nv np nt nf NR "
    "xa xo xk pp py pc pa pu pn ps ph p8 PM tg tv ts tf tk cs cf cm CL r8 rp rd ru re fw fi fo fm fc FL ls li LT "
    "do dc da dp dt du ey e2 EA EZ SG SK ap be bo ji ke op oa vo ve v1 wh wa 1/"
)
_UNMARKED = (b":AA", b".atlasv1.", b"Q~", b"-us")  # in keys that do not begin with one of _HEADS
_DISCORD = frozenset("MNO")


def has_run(raw: bytes) -> bool:
    """Return True if a text has so many word characters in a row as a key has."""
    return _RUN in raw.translate(_TO_RUNS)


def prefixed_keys(text: str, raw: bytes) -> Iterator[Span]:
    """Give the places of keys that are known by their prefix; ``raw`` is the text as ASCII."""
    runs = raw.translate(_TO_RUNS)
    index = runs.find(_RUN)
    if index < 0:
        return
    unmarked = any(mark in raw for mark in _UNMARKED)
    done = 0
    while index >= 0:
        end = runs.find(b" ", index)
        end = len(runs) if end < 0 else end
        if _DIGIT.search(text, index, end):
            span = _key_around(text, index, end, done, unmarked=unmarked)
        else:
            span = _key_at(text, index) if text[index : index + 2] in _HEADS else None
        if span:
            yield span
            done = end = max(end, span[1])
        index = runs.find(_RUN, end)


def _key_around(text: str, index: int, end: int, least: int, *, unmarked: bool) -> Span | None:
    """Return the place of a key in the run from ``index`` to ``end``, or of one that has the run as a part."""
    window = text[max(least, index - _MOST_BACK) : index]
    start = index - len(window) + len(window.rstrip(_JOINED))
    for first in _START.finditer(text, start, min(end, index + 60)):
        place = first.start()
        if text[place : place + 2] in _HEADS or unmarked or text[place] in _DISCORD:
            span = _key_at(text, place)
            if span and span[1] > index:
                return span
    return None


def _key_at(text: str, place: int) -> Span | None:
    match = _TOKEN.match(text, place)
    return match.span() if match and not is_slug(match[0]) else None


# -- URLs ----------------------------------------------------------------------------------

_USER = re.compile(r"""://(?P<user>[^\s/@:"'<>`\\]*):(?P<password>(?!\d{1,5}(?:[/?#,]|$))[^\s"'<>`\\]{1,1000})""")
_AT = re.compile(r"@(?=[\w.\[\-$%{]|$|[/,)])")
_ORACLE = re.compile(r"(?P<user>[\w.$-]{1,60})/(?P<password>[^\s/@\"']{1,100})(?=@)")
_WEBHOOK = re.compile(
    r"""(?:hooks\.slack\.com/(?:services|workflows|triggers)/(?=[A-Z])
      | discord(?:app)?\.com/api/(?:v\d+/)?webhooks/\d{5,25}/
      | \.webhook\.office\.com/webhookb?2?/ | outlook\.office(?:365)?\.com/webhook/
      | hooks\.zapier\.com/hooks/catch/ | chat\.googleapis\.com/v1/spaces/[\w-]+/messages\?
    )(?P<secret>[^\s"'<>\\?#]{6,})""",
    re.VERBOSE,
)
WEBHOOK_HOSTS = (b"hooks.", b"webhook", b"chat.googleapis")


def credentials_in_urls(text: str) -> Iterator[Span]:
    """Give the places of user and password in URLs."""
    index = text.find("://")
    while index >= 0:
        match = _USER.match(text, index)
        if match and (end := _end_of_password(text, match)) and _is_real(text[match.start("password") : end]):
            yield (index + 3, end)
            index = end
        index = text.find("://", index + 3)
    index = text.find("@//")
    while index >= 0:
        for match in _ORACLE.finditer(text, max(0, index - 160), index + 1):
            yield match.span("password")
        index = text.find("@//", index + 3)


def _end_of_password(text: str, match: re.Match[str]) -> int:
    """Return the end of a URL's password, which may hold ``@`` and ``/`` though it should not; 0 if there is none."""
    start, end = match.span("password")
    path = next((place for place in range(start, end) if text[place] in "/?#"), end)
    last = text.rfind("@", start, path)
    if last > start:
        return last
    at = _AT.search(text, path, end)
    return at.start() if at else 0


def _is_real(password: str) -> bool:
    """Return True for a password that is neither a placeholder nor masked already."""
    return not is_placeholder(password) and password != MASK


def webhooks(text: str) -> Iterator[Span]:
    """Give the places of the secret parts of webhook URLs."""
    for match in _WEBHOOK.finditer(text):
        yield match.span("secret")


# -- private keys ----------------------------------------------------------------

_BEGIN = re.compile(r"-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}(?![\"'`])")
_END = re.compile(r"-{4,5} ?END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}")
_PUTTY = re.compile(r"Private-Lines:.*", re.DOTALL)


def private_keys(text: str) -> Iterator[Span]:
    """Give the places of private keys, each from its first line to its last, or to a quote or the end of the text."""
    begin = _BEGIN.search(text)
    while begin:
        end = _END.search(text, begin.end())
        if end is None:
            yield from _unended_keys(text, begin)
            return
        yield (begin.start(), end.end())
        begin = _BEGIN.search(text, end.end())


def _unended_keys(text: str, begin: re.Match[str] | None) -> Iterator[Span]:
    while begin:
        stop = before_quote(text, (begin.end(), len(text)))[1]
        yield (begin.start(), stop)
        begin = _BEGIN.search(text, stop)


def putty_keys(text: str) -> Iterator[Span]:
    """Give the place of the private part of a PuTTY key file."""
    match = _PUTTY.search(text)
    if match:
        yield before_quote(text, match.span())
