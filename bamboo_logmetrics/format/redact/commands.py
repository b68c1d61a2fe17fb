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
_BEFORE_COLON = r"""[^\s:"'\x1f]*"""
_COMMANDS = {
    "mysql mysqldump mysqladmin mysqlimport mariadb mariadb-dump": rf"-p(?:{_QUOTE})?(?P<v>{_VALUE})",
    "sshpass": rf"-p(?:{_GAP})?(?P<v>{_VALUE})",
    "curl etcdctl http https jenkins-cli": (
        rf"(?:-u|-a|-auth|--user|-U|--proxy-user)(?:{_BETWEEN}|=)?(?P<q>{_QUOTE})?{_BEFORE_COLON}:"
        rf"(?P<v>(?(q){_IN_QUOTES}|{_VALUE}))"
        rf"|(?:-b|--cookie)(?:{_BETWEEN}|=)(?P<q2>{_QUOTE})?(?P<v2>(?=[^\s\"'=\x1f]*=)(?(q2){_IN_QUOTES}|{_ARGUMENT}))"
    ),
    "redis-cli": rf"(?:-a|--pass){_GAP}(?P<v>{_VALUE})",
    "docker podman nerdctl helm az oc twine buildah skopeo mongo mongosh mongodump mongorestore mongoexport "
    "mongoimport cf bower influx rabbitmqadmin cqlsh kinit": rf"(?:-p|--creds){_GAP}(?P<v>{_VALUE})",
    "ldapsearch ldapmodify ldapadd ldapdelete ldapwhoami ldappasswd": rf"-w{_GAP}(?P<v>{_VALUE})",
    "smbclient rpcclient smbmount winexe": rf"-U{_GAP}[^\s%\"'\x1f]*%(?P<v>{_VALUE})",
    "sqlcmd bcp isql osql mosquitto_pub mosquitto_sub zip unzip ipmitool": rf"-P(?:{_GAP})?(?P<v>{_VALUE})",
    "7z 7za 7zr rar unrar": rf"-h?p(?:{_QUOTE})?(?P<v>{_VALUE})",
    "openssl": rf"(?:-k{_GAP}|-K{_GAP}|\bpass:)(?P<v>{_VALUE})",
    "ssh-keygen": rf"-[NP]{_GAP}(?P<v>{_VALUE})",
    "useradd usermod": rf"-p{_GAP}(?P<v>{_VALUE})",
    "rabbitmqctl": rf"(?:add_user|change_password){_GAP}{_ARGUMENT}{_GAP}(?P<v>{_VALUE})",
    "lftp": rf"-u{_GAP}[^\s,\"'\x1f]+,(?P<v>{_VALUE})",
    "htpasswd": rf"-\w*b\w*{_GAP}{_ARGUMENT}{_GAP}{_ARGUMENT}{_GAP}(?P<v>{_VALUE})",
    "keytool jarsigner": rf"-(?:store|key|srcstore|deststore)pass{_GAP}(?P<v>{_VALUE})",
    "xfreerdp rdesktop wfreerdp": rf"(?:/p:|-p{_GAP})(?P<v>{_VALUE})",
    "sqlplus impdp expdp sqlldr rman": rf"[\w$.-]+/(?P<v>[^\s@\"'\x1f\\]+)(?=@|\s|$|{_QUOTE})",
    "net": rf"/user:{_ARGUMENT}{_GAP}(?P<v>{_VALUE})",
    "runas cmdkey": rf"/pass:(?P<v>{_VALUE})",
}
# commands of which only one subcommand takes a password: the pattern that has to be there too
_SUBCOMMANDS = {
    b"docker": re.compile(r"\blogin\b"),
    b"podman": re.compile(r"\blogin\b"),
    b"az": re.compile(r"\blogin\b"),
    b"oc": re.compile(r"\blogin\b"),
    b"helm": re.compile(r"\blogin\b"),
    b"net": re.compile(r"\buse\b"),
}
_PATTERNS = {
    command.encode(): re.compile(
        rf"(?<=[\s\"'\x1f])(?:{pattern})" if command not in {"openssl", "sqlplus"} else pattern
    )
    for commands, pattern in _COMMANDS.items()
    for command in commands.split()
}
_END = re.compile(r"\n|;\s|\s&&\s|\s\|\|?\s|\]|\Z")
_PIPED = re.compile(
    r"""\b(?:echo|printf)\s{1,9}(?:-n\s{1,9})?(?:\\{0,15}["'])?(?:(?P<v>[^"'|\\]{1,200}?)(?:\\{0,15}["'])?\s{0,9}\|\s{0,9}sudo\s{1,9}-\w*S
      | [^\s"':|\\]{1,60}:(?P<w>[^"'|\n\\]{1,200}?)(?:\\{0,15}["'])?\s{0,9}\|\s{0,9}(?:sudo\s{1,9})?chpasswd)""",
    re.VERBOSE,
)
_TO_WORDS = bytes(32 if chr(code) in "'\"[](),\x1f/\\;=" else code for code in range(256))
_LONGEST_COMMAND = 2_000
_FLAG = re.compile(
    rb"""-(?:(?<=[\s"'\x1f]-)|(?<=\A-))(?:(?:[puUabwPkKN]|hp)|-(?:user|proxy-user|cookie|creds|pass)\b)"""
)
_WITH_LOGIN = (b"sqlplus", b"impdp", b"expdp")  # of user/password@database


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
    if b"_" in signs and b"rabbitmqctl" in raw:
        return True
    return b"@" in signs and b"/" in signs and any(command in raw for command in _WITH_LOGIN)


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
    yield from piped_to_sudo(text)


def piped_to_sudo(text: str) -> Iterator[Span]:
    """Give the places of passwords that a command line pipes into sudo."""
    for match in _PIPED.finditer(text):
        yield match.span("v" if match["v"] else "w")


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
        for group in pattern.groupindex.keys() & {"v", "v2"}:
            value = match[group]
            if value and not is_placeholder(value) and not value.startswith("-"):
                yield match.span(group)
