"""Passwords on command lines: short flags, which mean something else to every command."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bamboo_logmetrics.format.redact.looks import is_placeholder
from bamboo_logmetrics.format.redact.texts import NO_QUOTES, Span

# between two arguments: of a command line, of a list of arguments, of such a list in masking
_QUOTE = r"""\\{0,15}["']"""  # also escaped, as in JSON within JSON
_BETWEEN = rf"""(?:\s{{1,9}}|{_QUOTE},\s{{0,9}}b?(?={_QUOTE})|\x1f)"""
_GAP = rf"{_BETWEEN}(?:{_QUOTE})?"
_IN_QUOTES = r"""(?:[^"'\x1f\\]|\\(?!\\{0,15}["']))+"""
_ARGUMENT = f"{NO_QUOTES}+"
_VALUE = rf"""(?:(?<=["']){_IN_QUOTES}|{_ARGUMENT})"""
_BEFORE_COLON = rf"""[^\s:"'\x1f]*(?:{_QUOTE}(?=:))?"""
_COMMANDS = {
    "mysql mysqldump mysqladmin mysqlimport mariadb mariadb-dump": (
        rf"(?<=[\"'\x1f])-p(?:{_QUOTE},\s{{0,9}}b?{_QUOTE}|\x1f)(?P<v>{_VALUE})|-p(?:{_QUOTE})?(?P<v2>{_VALUE})"
    ),
    "sshpass": rf"-p(?:{_GAP}|{_QUOTE})?(?P<v>{_VALUE})",
    "curl etcdctl http https jenkins-cli": (
        rf"(?:-[a-zA-Z#]{{0,6}}[uU]|-a|-auth|--user|--proxy-user)(?:{_BETWEEN}|=)?(?P<q>{_QUOTE})?{_BEFORE_COLON}:(?!//)"
        rf"(?:{_QUOTE})?(?P<v>(?(q){_IN_QUOTES}|{_VALUE}))"
        rf"|(?:-[a-zA-Z#]{{0,6}}b|--cookie)(?:{_BETWEEN}|=)(?P<q2>{_QUOTE})?"
        rf"(?P<v2>(?=[^\s\"'=\x1f]*=)(?(q2){_IN_QUOTES}|{_ARGUMENT}))"
    ),
    "redis-cli valkey-cli keydb-cli": (
        rf"(?:-a|--pass){_GAP}(?P<v>{_VALUE})"
        rf"|(?i:auth){_GAP}(?P<v2>{_VALUE})(?:(?:{_QUOTE})?{_GAP}(?!-)(?P<v3>{_VALUE}))?"
        rf"|(?i:requirepass|masterauth){_GAP}(?P<v4>{_VALUE})"
    ),
    "docker podman nerdctl helm az oc twine buildah skopeo mongo mongosh mongodump mongorestore mongoexport "
    "mongoimport cf bower influx rabbitmqadmin cqlsh kinit psexec psexec64": (
        rf"(?:-p|--creds){_GAP}(?P<v>{_VALUE})|-p(?:{_QUOTE})?(?!ort|ass|ull|rofile)(?P<v2>{_VALUE})"
    ),
    "ldapsearch ldapmodify ldapadd ldapdelete ldapwhoami ldappasswd": rf"-w(?:{_GAP}|{_QUOTE})(?P<v>{_VALUE})",
    "smbclient rpcclient smbmount winexe": rf"-U{_GAP}[^\s%\"'\x1f]*%(?P<v>{_VALUE})",
    "sqlcmd bcp isql osql mosquitto_pub mosquitto_sub zip unzip ipmitool": rf"-P(?:{_GAP}|{_QUOTE})?(?P<v>{_VALUE})",
    "7z 7za 7zr rar unrar": rf"-h?p(?:{_QUOTE})?(?P<v>{_VALUE})",
    "openssl": rf"(?:-k{_GAP}|-K{_GAP}|\bpass:)(?P<v>{_VALUE})",
    "ssh-keygen": rf"-[NP]{_GAP}(?P<v>{_VALUE})",
    "useradd usermod": rf"-p{_GAP}(?P<v>{_VALUE})",
    "rabbitmqctl": rf"(?:add_user|change_password){_GAP}{_ARGUMENT}{_GAP}(?P<v>{_VALUE})",
    "lftp": rf"-u{_GAP}[^\s,\"'\x1f]+,(?P<v>{_VALUE})",
    "htpasswd": rf"-\w*b\w*{_GAP}{_ARGUMENT}{_GAP}{_ARGUMENT}{_GAP}(?P<v>{_VALUE})",
    "keytool jarsigner": rf"-(?:store|key|srcstore|deststore)pass{_GAP}(?P<v>{_VALUE})",
    "xfreerdp rdesktop wfreerdp": rf"(?:/p:|-p{_GAP})(?P<v>{_VALUE})",
    "plink pscp psftp putty": rf"-pw{_GAP}(?P<v>{_VALUE})",
    "sqlplus sqlcl impdp expdp imp exp sqlldr rman": (
        rf"/(?:nolog)?(?=\s|$)|[\w$.-]+@|(?:userid=)?[\w$.-]+/(?:{_QUOTE})?(?P<v>(?<=/)[^\s@\"'\x1f\\]+|(?<=[\"']){_IN_QUOTES})(?=@|\s|$|{_QUOTE}|\x1f)"
    ),
    "net": rf"(?:/user:|user{_GAP}){_ARGUMENT}{_GAP}(?!/)(?P<v>{_VALUE})",
    "schtasks": rf"/rp{_GAP}(?P<v>{_VALUE})",
    "kv": rf"[a-zA-Z][\w.-]*=(?:{_QUOTE})?(?P<v>{_VALUE})",
    "runas cmdkey": rf"/pass:(?P<v>{_VALUE})",
    "vault": (
        rf"login(?:{_GAP}-{_ARGUMENT})*{_GAP}(?:token=)?(?P<v>(?!-|\w+=){_VALUE})"
        rf"|write{_GAP}secret/{_ARGUMENT}{_GAP}[\w.-]+=(?:{_QUOTE})?(?P<v2>{_VALUE})"
    ),
    "kubectl": rf"--from-literal(?:=|{_GAP})(?:{_QUOTE})?[\w.-]+=(?:{_QUOTE})?(?P<v>{_VALUE})",
}
# commands of which only one subcommand takes a password: the pattern that has to be there too
_SUBCOMMANDS = {
    b"docker": re.compile(r"\blogin\b"),
    b"podman": re.compile(r"\blogin\b"),
    b"az": re.compile(r"\blogin\b"),
    b"oc": re.compile(r"\blogin\b"),
    b"helm": re.compile(r"\blogin\b"),
    b"net": re.compile(r"\buser?\b"),
    b"kv": re.compile(r"\b(?:put|patch)\b"),
}
# commands of which only the first argument of the kind is a login, not a path
_ONCE = frozenset({b"sqlplus", b"sqlcl", b"impdp", b"expdp", b"imp", b"exp", b"sqlldr", b"rman"})
_PATTERNS = {
    command.encode(): re.compile(rf"(?<=[\s\"'\x1f])(?:{pattern})" if command != "openssl" else pattern)
    for commands, pattern in _COMMANDS.items()
    for command in commands.split()
}
_END = re.compile(r"(?<!\\)\n|;\s|\s&&\s|\s\|\|?\s|\]|\Z")
_PIPED = re.compile(
    r"""\b(?:echo|printf)\s{1,9}(?:-n\s{1,9})?(?:\\{0,15}["'])?(?:(?P<v>[^"'|\\]{1,200}?)(?:\\{0,15}["'])?\s{0,9}\|\s{0,9}sudo\s{1,9}-\w*S
      | (?P<x>[^"'|\\]{1,200}?)(?:\\{0,15}["'])?\s{0,9}\|(?=[^|\n]{0,200}?(?:\bcryptsetup\b
        |\s--?(?:pass(?:word|phrase)?|with-token)(?:-stdin|-fd\s0)?(?=\s|\\|["']|\Z)))
      | [^\s"':|\\]{1,60}:(?P<w>[^"'|\n\\]{1,200}?)(?:\\{0,15}["'])?\s{0,9}\|\s{0,9}(?:sudo\s{1,9})?chpasswd)""",
    re.VERBOSE,
)
_TO_WORDS = bytes(32 if chr(code) in "'\"[](),\x1f/\\;=" else code for code in range(256))
_LONGEST_COMMAND = 2_000
_FLAG = re.compile(
    rb"""-(?:(?<=[\s"'\x1f]-)|(?<=\A-))(?:(?:[puUabwPkKN]|hp)|-(?:user|proxy-user|cookie|creds|pass|from-literal)\b)"""
)
# in the names of commands that take a password without a flag, in lower case
WORDS = (b"rman", b"sqlplus", b"sqlldr", b"impdp", b"expdp", b"-cli", b"vault", b"curl", b"schtasks", b"net user")


def has_flags(raw: bytes, signs: bytes) -> bool:
    """Return True if a text may be a command line with a password.

    Args:
        raw: the text, as ASCII.
        signs: its characters other than letters and spaces.
    """
    if b"-" in signs and _FLAG.search(raw):
        return True
    if b":" in signs and (b"pass:" in raw or (b"/" in signs and (b"/p" in raw or b"/user:" in raw))):
        return True
    return b"_" in signs and b"rabbitmqctl" in raw


def on_command_lines(text: str, lower: bytes) -> Iterator[Span]:
    """Give the places of passwords after short flags of commands that are known."""
    for command in sorted(_PATTERNS.keys() & lower.translate(_TO_WORDS).split()):
        pattern = _PATTERNS[command]
        index = lower.find(command)
        while index >= 0:
            after = index + len(command)
            if _is_word(lower, index, after):
                yield from _in_command(text, command, pattern, after)
                after = _end(text, after)
            index = lower.find(command, after)


def is_command_name(name: str) -> bool:
    """Return True for the name or path of a command that may take a password."""
    return name.rpartition("/")[2].lower().encode("ascii", "replace") in _PATTERNS


_PROMPTED = re.compile(r"""(?:>\s|\s")AUTH"?\s{1,9}(?:"(?P<q>[^"\n]{1,200})"|(?P<v>[^\s"\n]{1,200}))""", re.IGNORECASE)


def at_prompts(text: str) -> Iterator[Span]:
    """Give the places of passwords of Redis after a prompt, and in what its monitor shows."""
    for match in _PROMPTED.finditer(text):
        group = "q" if match["q"] else "v"
        if not is_placeholder(match[group]):
            yield match.span(group)


def piped_to_sudo(text: str) -> Iterator[Span]:
    """Give the places of passwords that a command line pipes into sudo."""
    for match in _PIPED.finditer(text):
        group = next(group for group in "vwx" if match[group])
        if not is_placeholder(match[group]):
            yield match.span(group)


def _end(text: str, start: int) -> int:
    return _END.search(text, start, start + _LONGEST_COMMAND).start()  # type: ignore[union-attr]


def _is_word(lower: bytes, start: int, end: int) -> bool:
    before, after = lower[start - 1 : start] if start else b"", lower[end : end + 1]
    return not (before.isalnum() or before in {b"_", b"-", b"."}) and after in {b" ", b"'", b'"', b"\\", b"\x1f", b"\t"}


def _in_command(text: str, command: bytes, pattern: re.Pattern[str], start: int) -> Iterator[Span]:
    end = _end(text, start)
    subcommand = _SUBCOMMANDS.get(command)
    if subcommand and not subcommand.search(text, start, end):
        return
    for match in pattern.finditer(text, start, end):
        for group, value in match.groupdict().items():
            if value and group[0] == "v" and not is_placeholder(value.strip("<>")) and not value.startswith("-"):
                yield match.span(group)
        if command in _ONCE:
            return
