"""Names of secrets: what a key, a header or a variable says about its value."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from bamboo_logmetrics.format.redact.languages import is_foreign_password
from bamboo_logmetrics.format.redact.looks import (
    is_code_digits,
    is_dense,
    is_password,
    is_random,
    is_scheme_or_random,
    is_session,
    words,
)


class Level(IntEnum):
    """How far a name decides that a value is a secret."""

    NONE = 0
    CHECKED = 1  # only a text that also looks like one
    TEXT = 2  # each text; a number is a count or an id
    ALWAYS = 3  # each text and each number


class Secrecy(NamedTuple):
    """The meaning of a name for its value.

    Args:
        level: how far the name decides.
        check: for CHECKED, returns True for a text that looks like a secret.
        long: for TEXT, the value after the name in a text must look random: ``token`` alone is also a word of parsers.
        own: the application named it: whatever stands there is a secret, also a word or a list.
    """

    level: Level
    check: Callable[[str], bool] | None = None
    long: bool = False
    own: bool = False


NO_SECRET = Secrecy(Level.NONE)
OF_MODELS = Secrecy(Level.NONE, long=True)  # of what language models return: a token in it is a part of a text
_MODEL_NAMES = frozenset({"logitbias", "logprobs", "toplogprobs", "vocab", "vocabulary", "tokenizer"})
_ALWAYS = Secrecy(Level.ALWAYS)
_TEXT = Secrecy(Level.TEXT)
_DENSE = Secrecy(Level.CHECKED, is_dense)
OWN = Secrecy(Level.ALWAYS, own=True)
_WORD = re.compile(r"[A-Z]{2,}s(?![a-z])|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_IS_NAME = re.compile(r"[\w .:/$\[\]-]*\Z")
_LONGEST_NAME = 100

# endings of a name, its words written together
_ALWAYS_ENDING = re.compile(
    r"(?:passw(?:or)?d|passphrase|passcode|pswd|secret|secret(?:access)?key|apikey|apisecret|secretid"
    r"|authorization|(?:access|account|private|encryption|decryption|signing|session|subscription)key"
    r"|connectionstring|seedphrase|recoveryphrase|codeverifier"
    r"|(?:recovery|backup)codes?|(?:otp|mfa|totp|2fa)code|requirepass|masterauth|^appkey)$"
)
_TEXT_ENDING = re.compile(
    r"(?:apikeys|passwords|secrets|passphrases|accesskeys|privatekeys|credentials?|creds|cookies?|bearer|jwt"
    r"|(?:access|refresh|auth|session|csrf|xsrf|bearer|api|security|github|gitlab|bot|oauth)tokens?)$"
)
_PASS_ENDING = re.compile(
    r"(?:user|db|database|smtp|ftp|mail|sql|mysql|pg|redis|admin|root|login|store|key|proxy|http|ssh|wifi|ldap|dbuser"
    r"|rabbit|mongo|my|new|old)pass$"
)
_SESSION = re.compile(r"(?:(?:php|j|asp)?sess(?:ion)?id|session|sess|sid|csrf(?:token)?|xsrf(?:token)?)\Z")

_WITHIN = re.compile(r"secret|passw(?:or)?d|apikey")  # anywhere in a name, before what it is for
# the word before "key" that makes it a secret
_KEY_KINDS = words(
    "api access client account private encryption decryption encrypt crypt signing sign ssh master auth service "
    "shared storage subscription license licence deploy hmac aes rsa fernet data function functions host webhook "
    "app application integration crypto cipher symmetric wallet sas root admin write ingest jwt vault kms gpg pgp "
    "tls ssl server secret session security consumer authorization bot stripe openai anthropic sendgrid"
)
# the word before "token" that makes it a place in a list, a part of a text, or a count
_TOKEN_PLACES = words(
    "page next prev previous continuation continue first last eos bos pad cls sep mask unk start stop end sync "
    "cursor per max min num number special unknown input output prompt completion cached total reasoning of "
    "current peek word sub lookahead image audio text vision decoder resume pagination scroll line unexpected "
    "invalid image each single final forced begin newline padding sentence pooled added"
)
_QUESTIONS = words("has is needs requires show forgot from")  # what follows is a name, or yes or no
# the word before "pass" that makes it a step of some work, or a ticket
_PASS_COUNTS = words(
    "first second third fourth fifth last next final single double two multi per each every one all render forward "
    "backward boarding low high band by test tests build compile optimizer optimization initial warmup ray z depth "
    "shadow did does should must will would not could can"
)
_PASSWORDS = frozenset({"pw", "psk", "mnemonic", "pat"})
_SUFFIXES = words(
    "confirmation confirm again repeat value plain plaintext raw string str text b64 base64 pem data base hash "
    "header bytes env"
)


@lru_cache(maxsize=4096)
def secrecy(name: str) -> Secrecy:
    """Return the meaning of a name, such as ``openai_api_key`` or ``X-Auth-Token``, for its value."""
    if not _IS_NAME.match(name):
        return NO_SECRET
    if is_foreign_password(name):
        return _ALWAYS
    parts = [word.lower() for word in _WORD.findall(name[-_LONGEST_NAME:])]
    while parts and parts[-1].isdigit():
        parts.pop()
    if len(parts) > 1 and parts[0] in _QUESTIONS:
        return NO_SECRET
    meaning = _of_words(parts)
    while meaning is NO_SECRET and len(parts) > 1 and parts[-1] in _SUFFIXES:
        parts.pop()
        meaning = _of_words(parts)
    return _DENSE if meaning is NO_SECRET and _WITHIN.search("".join(parts)) else meaning


def _of_words(parts: list[str]) -> Secrecy:
    joined = "".join(parts)
    if not parts or joined in _MODEL_NAMES:
        return OF_MODELS if parts else NO_SECRET
    last, before = parts[-1], parts[-2] if len(parts) > 1 else ""
    if last in {"key", "keys"}:
        if before in _KEY_KINDS:
            return _ALWAYS if last == "key" else _TEXT
    elif last in {"token", "tokens"} and not _TEXT_ENDING.search(joined):
        return _of_token(last, before)
    if _ALWAYS_ENDING.search(joined) or last in _PASSWORDS:
        return _ALWAYS
    if _TEXT_ENDING.search(joined):
        return _TEXT
    return _checked(joined, last, before)


def _of_token(last: str, before: str) -> Secrecy:
    if before in _TOKEN_PLACES:
        return NO_SECRET
    if last == "tokens":
        return Secrecy(Level.CHECKED, is_random)
    return Secrecy(Level.TEXT, long=not before)


def _checked(joined: str, last: str, before: str) -> Secrecy:
    """Return the meaning of a name that is also a usual word."""
    if last in {"pass", "pwd", "mdp"} or joined.endswith("pwd") or _PASS_ENDING.search(joined):
        return NO_SECRET if last == "pass" and before in _PASS_COUNTS else Secrecy(Level.CHECKED, is_password)
    if last in {"auth", "authentication", "login"}:
        return Secrecy(Level.CHECKED, is_scheme_or_random)
    if last in {"signature", "sig", "hmac"}:
        return NO_SECRET if before == "valid" else Secrecy(Level.CHECKED, is_random)
    if joined == "aspnetsessionid" or _SESSION.match(last):
        return Secrecy(Level.CHECKED, is_session)
    if last in {"pin", "otp", "cvv", "cvc"} or joined.endswith(("pincode", "securitycode", "verificationcode")):
        return Secrecy(Level.CHECKED, is_code_digits)
    return NO_SECRET
