"""Keys with a provider's prefix: what they begin with, and what follows."""

from __future__ import annotations

import re
from functools import cache

# Prefixes that providers give their keys, so that scanners recognize them, by the pattern of what follows. The case
# matters.
PREFIXES = {
    r"(?=[\w-]{0,40}\d)[\w-]{16,}": "sk- rk-",  # OpenAI, Anthropic, OpenRouter, DeepSeek
    r"(?=[\w-]{0,40}\d)[a-zA-Z0-9]{20,}": "voyage-",
    r"\w{10,}": "sk_live_ sk_test_ sk_prod_ rk_live_ rk_test_ rk_prod_ pk_live_ pk_test_ pk_prod_",  # Stripe
    r"\w{16,}": "sm_aat_ sm_pat_ sm_sat_",
    r"\w{20,}": "ghp_ gho_ ghu_ ghs_ ghr_ ghes_ github_pat_ pcsk_ lsv2_ vercel_blob_rw_",
    r"\w{28,}": "ATBB",
    r"\w{30,}": "shippo_live_ shippo_test_ cfut_ glsa_ nfp_ lin_api_ lin_oauth_",
    r"\w{32,}": "shpat_ shpca_ shppa_ shpss_",
    r"\w{36}": "pnu_",
    r"\w{40,}": "sgp_ ntn_ phc_ phx_ jina_ oat_ secret_ wandb_v1_ rubygems_ doo_v1_ dop_v1_ dor_v1_ glptt-",
    r"\w{50,}": "AGE-SECRET-KEY-1 cmVmd CLOJARS_ EZAK EZTK",
    r"\w{60,}": "AKCp s-s4t2ud- s-s4t2af- rdme_",
    r"[\w-]{10,}": "xapp-",
    r"[\w-]{12,}": "FLWSECK- FLWSECK_TEST-",
    r"[\w-]{19,}": "NRAK- NRII- NRJS- NRAL-",
    r"[\w-]{20,}": "sb_secret_ sq0csp- sq0atp- dckr_pat_ dckr_oat_ tgp_v1_ tvly- ya29. nvapi- GOCSPX- GR1348941 "
    "hvs. hvb. hvr.",
    r"[\w-]{30,}": "AIza HRKU- pypi- figd_ 1//0",
    r"[\w-]{40,}": "sha256~ gloas- glagent- tk-us- fo1_ PMAK-",
    r"[\w-]{60,}": "xkeysib- fio-u-",
    r"[\w.-]{10,}": "xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs- xoxa. xoxb. xoxe. xoxo. xoxp. xoxr. xoxs.",  # Slack
    r"[\w.-]{16,}": "glpat- gldt- glrt- glcbt- glft- glsoat- glimt- glffct-",
    r"[\w.]{30,}": "dp.pt. dp.st. dp.ct. dp.scim. dp.audit.",
    r"[\w=-]{30,}": "duffel_live_ duffel_test_",
    r"[\w=-]{40,}": "ATATT3",
    r"[\w.=-]{30,}": "pscale_tkn_ pscale_oauth_ pscale_pw_",
    r"[\w.=-]{40,}": "tfp_",
    r"[\w+/=]{24,}": "whsec_",
    r"[\w+/=]{30,}": "glc_ bedrock-api-key-",
    r"[\w+/=]{40,}": "sntryu_ sntrys_",
    r"[\w+/=]{100,}": "ops_eyJ",
    r"[\w+/=,]{80,}": "fm1_ fm2_ fm1a_ fm1r_ fm2a_ fm2r_",
    r"[\w+/]{100,}={0,2}": "ABSK",
    r"[a-zA-Z0-9]{16,}": "LTAI",
    r"[a-zA-Z0-9]{20,}": "gsk_ hf_ xai- pplx- csk- r8_ fw_",
    r"[a-zA-Z0-9]{30,}": "npm_ api_org_",
    r"[a-zA-Z0-9]{24}(?![\w.])": "s.",  # Vault
    r"[A-Z0-9]{16}": "AKIA ASIA ABIA ACCA",  # AWS
    r"[A-Z0-9]{17}": "A3T",
    r"[A-Z0-9]{26}": "API-",
    r"[A-Z0-9]{30,}": "rpa_",
    r"[A-Z0-9]{6}-[A-Z0-9-]{23,}": "A3-",
    r"[a-z0-9]{32}": "p8e-",
    r"[a-f0-9]{32}": "fc-",
    r"[a-f0-9]{32}(?!\w)": "key- SK",
    r"[a-f0-9]{32}(?:-\d)?": "dapi",
    r"[a-f0-9]{40}": "sbp_ pul- e2b_",
    r"[a-f0-9]{24}-[a-f0-9]{100,}": "v1.0-",
    r"[a-zA-Z0-9]{14}\.[a-f0-9]{60,}": "pat",
    r"[a-zA-Z0-9]{8}_[a-zA-Z0-9]{20,}": "re_",
    r"\w+-[\w-]{20,}": "tskey-",
    r"\d\d\.[\w.]{40,}": "dt0c dt0s",
    r"[\w-]{16,}\.[\w-]{30,}": "SG.",
    r"\w{20,}[\w-]*": "EAAA EAAC",
    r"\d{8,10}:AA[\w-]{32,}": "bot",
    r"[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*){1,3}": "eyJ",  # web tokens
    r"\w{60,}={0,3}": "eyJrIjoi",
}
# keys that begin with anything, each with one of MARKS in it
_UNMARKED = re.compile(
    r"""\d{8,10}:AA[\w-]{32,}                  # Telegram
      | [a-zA-Z0-9]{14}\.atlasv1\.[\w=-]{60,}  # Terraform
      | [\w~.]{3}\dQ~[\w~.-]{31,}              # Azure
      | [a-f0-9]{32}-us\d{1,2}(?!\w)           # Mailchimp
    """,
    re.VERBOSE | re.ASCII,
)
MARKS = (b":AA", b".atlasv1.", b"Q~", b"-us")
_DISCORD, _DISCORD_HEADS = re.compile(r"[\w-]{24,28}\.[\w-]{6}\.[\w-]{27,}", re.ASCII), frozenset("MNO")
_HEAD = 2  # the characters by which a prefix is found; none is shorter


def _by_head() -> dict[str, list[str]]:
    heads: dict[str, list[str]] = {}
    for follows, prefixes in PREFIXES.items():
        for prefix in prefixes.split():
            heads.setdefault(prefix[:_HEAD], []).append(re.escape(prefix) + follows)
    return heads


_BY_HEAD = _by_head()


@cache
def _pattern(head: str) -> re.Pattern[str]:
    return re.compile("|".join(_BY_HEAD[head]), re.ASCII)


def may_begin(text: str, place: int) -> bool:
    """Return True if a key with a prefix may begin at a place of a text."""
    return text[place : place + _HEAD] in _BY_HEAD or text[place] in _DISCORD_HEADS


def key_at(text: str, place: int, *, unmarked: bool) -> re.Match[str] | None:
    """Return the match of a key at a place of a text.

    With ``unmarked`` the text has one of MARKS: then a key without a prefix may stand here too.
    """
    head = text[place : place + _HEAD]
    match = _pattern(head).match(text, place) if head in _BY_HEAD else None
    if match is None and text[place] in _DISCORD_HEADS:
        match = _DISCORD.match(text, place)
    return _UNMARKED.match(text, place) if match is None and unmarked else match
