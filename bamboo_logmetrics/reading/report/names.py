"""The names on a report page: shortened if they are long, replaced if the page is to be shared."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection, Mapping

from bamboo_logmetrics.events import ForwardStatus, RoundStatus, SessionStatus
from bamboo_logmetrics.pipeline.statistics import DROP_REASONS
from bamboo_logmetrics.reading.report.model_names import split
from bamboo_logmetrics.usage.provider_names import standard_name
from bamboo_logmetrics.usage.providers import HOSTS, OPERATIONS

_MAX_LENGTH = 120  # characters
_DIGITS = 6  # of the hash behind a name that was cut
_MIN_DIGITS = 4  # of the hash in place of a name

# names that say nothing about who wrote the log, by kind
_TOOLS = (
    "apply_patch bash edit edit_file exec_command fetch glob grep list_dir list_files ls multiedit notebookedit read "
    "read_file read_many_files replace run_shell_command search search_files shell task todowrite update_plan "
    "view_image web_fetch web_search webfetch websearch write write_file"
)
_ERRORS = (
    "api_error authentication_error cancelled context_length_exceeded exit_code insufficient_quota "
    "invalid_request_error not_found_error overloaded_error permission_error rate_limit_error rate_limit_exceeded "
    "refusal server_error timeout connection_error other"
)
_PUBLIC: Mapping[str, Collection[str]] = {
    "tool": frozenset(_TOOLS.split()),
    "error": frozenset(_ERRORS.split()),
    "endpoint": frozenset(OPERATIONS),
    "provider": frozenset({standard_name(name) for name in HOSTS.values()}),
    "status": frozenset({status.value for kind in (SessionStatus, RoundStatus, ForwardStatus) for status in kind}),
    "reason": frozenset(DROP_REASONS),
}
_STATUS_CODE = re.compile(r"(HTTP )?[1-5][0-9][0-9]", re.ASCII)


class ShownNames:
    """The names as the page shows them.

    Args:
        anonymous: True to replace each name by its kind and a short hash. The key of the hash is made for each page
            and kept nowhere, so that nobody can find a name by trying.
    """

    def __init__(self, *, anonymous: bool) -> None:
        self.anonymous = anonymous
        self._key = secrets.token_bytes(32)
        self._names: dict[tuple[str, str], str] = {}
        self._taken: set[str] = set()

    def show(self, kind: str, name: str) -> str:
        """Return a name as the page shows it.

        Args:
            kind: such as ``session``, ``project`` or ``tool``. Of a ``model`` only the parts that are not public are
                replaced.
            name: the name in the log; an empty one stays.
        """
        if not self.anonymous or not name or _is_public(kind, name):
            return _shorten(name)
        if kind == "model":
            return _shorten("".join(part if public else self._hash(kind, part) for part, public in split(name)))
        return self._hash(kind, name)

    def _hash(self, kind: str, name: str) -> str:
        if (kind, name) not in self._names:
            self._names[kind, name] = self._replace(kind, name)
        return self._names[kind, name]

    def _replace(self, kind: str, name: str) -> str:
        digest = hashlib.blake2s(f"{kind}:{name}".encode("utf-8", "replace"), key=self._key).hexdigest()
        others = (f"{kind}-{digest[:digits]}" for digits in range(_MIN_DIGITS, len(digest) + 1))
        other = next(other for other in others if other not in self._taken)
        self._taken.add(other)
        return other


def _is_public(kind: str, name: str) -> bool:
    if kind == "error" and _STATUS_CODE.fullmatch(name):
        return True
    return name.lower() in _PUBLIC.get(kind, ())


def _shorten(name: str) -> str:
    """Return a name without the end of a long one, still different from others that begin alike."""
    if len(name) <= _MAX_LENGTH:
        return name
    digest = hashlib.blake2s(name.encode("utf-8", "replace")).hexdigest()[:_DIGITS]
    return f"{name[: _MAX_LENGTH - _DIGITS - 1]}…{digest}"
