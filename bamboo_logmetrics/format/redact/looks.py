"""The looks of a value: random, a password, a placeholder, code or prose."""

from __future__ import annotations

import binascii
import re

from bamboo_logmetrics.format.redact.languages import CHINESE_PROSE, PROSE

MASK = "[redacted]"
MASKED = MASK[:-1]  # of a value that is masked already and read without its closing bracket


def words(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


_RANDOM = re.compile(r"[\w.~+/=%:|$-]+\Z", re.ASCII)
_DENSE = re.compile(r"(?=[^\d]*\d)(?=[^a-z]*[a-z])(?=[^A-Z]*[A-Z])[A-Za-z0-9+/=]{20,}\Z", re.ASCII)
# a word, a number, or a short mix of both; no two of them match the same, so that nothing is tried twice
_PART = r"(?:[a-z]+|\d+|(?=[a-z]*\d)(?=\d*[a-z])[a-z0-9]{1,4})"
_SLUG = re.compile(rf"{_PART}(?:[-_.:/]{_PART})+\Z")
_LEAST_RANDOM = 16
_LONGEST_SLUG = 200
_DIGIT, _LETTER = re.compile(r"\d"), re.compile(r"[A-Za-z]")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z", re.IGNORECASE)
_PATH = re.compile(r"(?:[/~.$\\]|[A-Za-z]:[\\/])")
_COUNT = re.compile(r"[\d./,%+-]*\s?(?:ms|s|us|m|h)?\Z")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}\Z")
SCHEMES = "bearer|basic|token|digest|apikey|api-key|aws4-hmac-sha256|oauth|negotiate|ntlm|hawk|bot|key"
_SCHEME = re.compile(rf"(?:{SCHEMES}|hmac\S*)\s+\S", re.IGNORECASE)


def is_random(value: str, least: int = _LEAST_RANDOM) -> bool:
    """Return True for a text of a key's characters that is long and has a digit or both cases, as keys have."""
    if len(value) < least or not _RANDOM.match(value) or is_slug(value):
        return False
    if _DIGIT.search(value):
        return bool(_LETTER.search(value))
    return not value.islower() and not value.isupper() and value[1:] != value[1:].lower()


def is_dense(value: str) -> bool:
    """Return True for a long text of letters of both cases and digits alone, which hardly anything but a key is."""
    return bool(_DENSE.match(value))


def is_slug(value: str) -> bool:
    """Return True for words and numbers that are joined, as in the name of a model or of a resource."""
    return _SLUG.match(value[:_LONGEST_SLUG]) is not None


def is_session(value: str) -> bool:
    """Return True for a text that looks random and is no UUID: those are ids of what is logged."""
    return is_random(value) and not _UUID.match(value)


def is_password(value: str) -> bool:
    """Return True unless a text is a path, a count or blank."""
    return not _PATH.match(value) and not _COUNT.match(value) and bool(value.strip())


def is_code_digits(value: str) -> bool:
    """Return True for three to eight digits, as of a PIN or a one-time password."""
    return value.isdigit() and 3 <= len(value) <= 8  # noqa: PLR2004 - the lengths that are in use


def is_basic(value: str) -> bool:
    """Return True for the credentials of the scheme Basic: base64 of a user, a colon and a password."""
    if not _BASE64.match(value):
        return False
    try:
        text = binascii.a2b_base64(value.replace("-", "+").replace("_", "/") + "==").decode()
    except ValueError:
        return False
    return ":" in text and text.isprintable()


def is_scheme_or_random(value: str) -> bool:
    """Return True for credentials after the name of a scheme, or a text that looks random."""
    if _SCHEME.match(value):
        scheme, _, value = value.partition(" ")
        return is_basic(value.strip()) if scheme.lower() == "basic" else any(map(str.isdigit, value)) or len(value) > 8  # noqa: PLR2004
    return is_random(value) or is_basic(value)


# -- values that are no secrets, whatever their name -----------------------------------------

_NOTHING = words(
    "none null nil true false undefined na n/a nan empty unset default required optional missing invalid unknown "
    "any ok yes no on off str string int integer bytes bool boolean text varchar password passwd token secret key "
    "value val object array number file type hidden masked redacted removed filtered sanitized not-set notset "
    "set changed updated rotated expired present absent exists accepted rejected created deleted configured valid "
    "provided supplied loaded found "
    "input prompt enabled disabled done passed failed skipped complete"
)
_LONGEST_SIGNS = 3  # characters that are neither letters nor digits, and no password
# what stands for a value: masked already, a variable, a template, a name in brackets
_FORMS = r"""
    [*\u2022.#?_-]+ | [xX]{3,}
  | .{0,8}\*{3,}.{0,8}
  | [\[(][A-Za-z_\ -]*[\])]? | \*[a-z]+(?:_[a-z]+)*
  | \$\{.* | \$\(.* | \$(?!ecret|ummer|unshine|trong)(?:[A-Z0-9_]+ | [a-z_]+ | _?[a-z]+(?:_[a-z0-9]+)+
      | [a-z]*(?i:pass(?:word|wd|phrase)?|pwd|pw|secret|token|key|credentials?)\d?)
  | \{\{.* | \{[A-Za-z_][\w.\[\]"'!:]*\} | \{\} | %[A-Za-z_]\w*% | %\(\w+\)?s? | %s | %r | %d
  | @[\w.]+@
  | !(?i:ref|sub|getatt|importvalue|vault|env|env_var|secret|include|join|if|select|findinmap|split|reference
    |encrypted)\b.*
"""
_BRACKETED = re.compile(
    r"""<(?: [A-Za-z]+(?:[-_ .:|/][A-Za-z]+)*[-_ .]?\d?
      | [^<>]*\s[^<>]*
      | [^<>]*(?:pass|secret|key|token|redacted|hidden|masked|removed|value|here|your|length|chars?|bytes)[^<>]*
      )?>?\Z""",
    re.VERBOSE | re.IGNORECASE,
)
_FORM = re.compile(rf"(?:{_FORMS})\Z", re.VERBOSE | re.DOTALL)
_LOOSE = re.compile(
    r"""(?:
    [*xX\u2022.#?_-]+ | \(?<?(?:your|my|some|the)[-_ ][\w -]*>?\)? | [|>][+-]?
  | (?:/|~/|\./)[\w./-]*(?:\.(?:pem|key|crt|cer|json|txt|ya?ml|pub|p12|pfx|jks|asc|gpg|env|conf|cfg)|/secrets/[\w.-]+)
  | (?:secretstr|secretbytes|optional|union|list|dict|type)[(\[].*
    )\Z""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


def is_placeholder(value: str) -> bool:
    """Return True for a value that stands for another, or says that there is none."""
    bare = value.strip().strip("\"'`")
    has_words = any(map(str.isalnum, bare)) or len(bare) > _LONGEST_SIGNS
    return (
        not has_words
        or bare.lower() in _NOTHING
        or bare.lower() in PROSE
        or stands_for_another(bare)
        or bool(_LOOSE.match(bare))
    )


def stands_for_another(value: str) -> bool:
    """Return True for a variable, a template, a name in brackets, or what is masked already: told by its form."""
    return bool(_FORM.match(value) or (value[:1] == "<" and _BRACKETED.match(value)))


# the first word of a sentence about a secret, instead of the secret
_PROSE = words(
    "a an the this that these those it its is are was were be been being has have had do does did not no never "
    "none any all some your my our their his her at in on of for from to by with without within as if when while "
    "until after before because and or but only must should shall may might can cannot could would will required "
    "require requires missing invalid incorrect wrong expired expires expire failed fails failing failure denied "
    "rejected refused revoked blocked locked reset changed changes updated created deleted removed rotated "
    "refreshed loaded found set unset empty blank too more less least most length minimum maximum min max field "
    "fields value values please enter provide use using check verify verified valid accepted ok okay yes granted "
    "allowed forbidden unauthorized unauthenticated unexpected unknown unsupported unset unavailable disabled "
    "enabled error errors attempt attempts policy strength authentication authorization auth user users bob's "
    "mismatch matches match strict weak strong good bad old new needed optional hidden masked redacted provided "
    "given supplied specified stored hashed encrypted plain cached cleared generated issued validated validation "
    "skipped skipping ignored pending success successful succeeded done malformed reused present absent contains "
    "contained same different similar short long common breached compromised mandatory cannot couldn't can't "
    "doesn't isn't wasn't hasn't don't won't read reading store storing sent received request requested requires "
    "retry retrying via see also now still already both either neither each every here there below above yet up "
    "exists "
    "down running complete completed passing passes fine ready"
)
_FIRST = re.compile(r"\W*([^\W\d_]+(?:'[a-z]+)?|[^\W\d_]'[a-z]+)(?=[\s.,;:!)\]]|\Z)")
_PARTICIPLE = re.compile(r"[a-z]{3,}(?:[^e\W]ed|ied)\Z|un[a-z]{3,}ed\Z")
_NO_PARTICIPLES = words("seed weed breed speed bleed need hundred sacred red wicked naked kindred")


def is_prose(text: str) -> bool:
    """Return True for a text that begins as a sentence about a secret does, or with what was done to one."""
    match = _FIRST.match(text)
    if not match or text.startswith(CHINESE_PROSE):
        return text.startswith(CHINESE_PROSE)
    word = match[1].lower()
    return word in _PROSE or word in PROSE or (_PARTICIPLE.match(word) is not None and word not in _NO_PARTICIPLES)


_MESSAGE = re.compile(
    r"\b(?:required|must|should|invalid|incorrect|wrong|missing|fields?|may not|cannot|can't|at least|expired|is|was"
    r"|has|too (?:short|long|common|weak)|not (?:match|found|set|valid)|do(?:es)? not|failed|denied)\b",
    re.IGNORECASE,
)


def is_message(text: str) -> bool:
    """Return True for a sentence about a secret, such as the message of a form: it begins and goes on as one."""
    return " " in text.strip() and is_prose(text) and bool(_MESSAGE.search(text))


# -- code --------------------------------------------------------------------------------

_CODE = re.compile(
    r"""(?:
    [A-Za-z_$][\w$]*(?:\.[A-Za-z_]\w*)*\(                                    # a call
  | [A-Za-z_][\w]*(?:\.[A-Za-z_]\w*)*\[                                      # an item
  | (?:self|cls|this|os|settings|config|conf|cfg|args|options|opts|request|req|env|environ|process|kwargs|params|data
      |form|ctx|context|app|credentials|creds|secrets|response|session|user|client|module|var|local|inspect|typing|t
      |models|forms|db|serializers|state|props|event|input|body|obj|instance|tokenize|token|np|pd|re)\.[A-Za-z_]
  | \$[A-Za-z_]\w*(?:\[|->|-\Z|::) | lambda\b | await\b | not\b | new\b | f?["']\{ | &?\*?[A-Za-z_]\w*\)
    )""",
    re.VERBOSE,
)
_IDENTIFIER = re.compile(r"_*[A-Za-z][A-Za-z_]*\Z")
_ATTRIBUTE = re.compile(r"(?=[^\d]*[_A-Z])(?:[A-Za-z_]+\.)+[A-Za-z_]+\Z")
_NOT_LETTER = re.compile(r"[^a-z]")
_VARIABLES = words(
    "tok t k v x y s p pw pwd passwd pass val line name arg arg1 item cred creds credentials secret secrets token "
    "tokens key keys password expected actual result other data raw text hashed digest user signature sig cookie "
    "cookies jwt args kwargs getpass os self cls config settings env environ auth"
)


def is_code(value: str, name: str) -> bool:
    """Return True for a bare value that is an expression of a program: a call, an attribute, a variable.

    Args:
        value: the text after the name, to the end of the value.
        name: the name, which a variable often repeats, as in ``password=password``.
    """
    if _CODE.match(value):
        return True
    if _ATTRIBUTE.match(value):
        return True
    if not _IDENTIFIER.match(value):
        return False
    same = _NOT_LETTER.sub("", value.lower()) in _NOT_LETTER.sub("", name.lower()) and len(value) > 3  # noqa: PLR2004
    return same or value in _VARIABLES or value.startswith("_") or value.isupper()
