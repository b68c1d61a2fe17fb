"""Credentials for a server, from arguments, the environment or files."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus

from bamboo_logmetrics.errors import ConfigError

ENV_PREFIX = "BAMBOO_LOGMETRICS_SHIP_"

_SECRETS = ("password", "token", "api_key")
_FOR_HTML = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&"}
_IN_HEADERS = ("token", "api_key", "tenant")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Credentials for a server. No ``repr`` shows a secret.

    Args:
        user: the user for basic authentication.
        password: the user's password.
        token: a bearer token.
        api_key: an Elasticsearch API key, in the encoded form.
        tenant: the value of ``X-Scope-OrgID``, Loki's tenant.
        ca: a file with the certificates of the authorities to trust, in place of the system's.
        cert: a file with the client's certificate.
        key: a file with the certificate's key, unless the certificate's file holds it.

    Raises ConfigError for more than one of user, token and api_key, a password without a user, a key without a
    certificate, and a value that no header can hold.
    """

    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)
    tenant: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        if sum(map(bool, (self.user, self.token, self.api_key))) > 1:
            msg = "give one of a user with a password, a token and an API key, not several"
            raise ConfigError(msg)
        for name, needed in (("password", "user"), ("key", "cert")):
            if getattr(self, name) and not getattr(self, needed):
                msg = f"{name} needs {needed} as well"
                raise ConfigError(msg)
        for name in _IN_HEADERS:
            text = getattr(self, name)
            if not (text.isascii() and text.isprintable() and text == text.strip()):
                msg = f"{name} has a character that no header can hold, or a space at its beginning or end"
                raise ConfigError(msg)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None, **values: str) -> Credentials:
        """Return the credentials of the variables ``BAMBOO_LOGMETRICS_SHIP_<NAME>``; arguments take precedence.

        ``password_file``, ``token_file`` and ``api_key_file``, as arguments or variables, name a file that holds the
        secret. Raises ConfigError as :func:`secret_from`.
        """
        environ = os.environ if environ is None else environ
        fields = {}
        for name in cls.__slots__:
            fields[name] = values.get(name) or environ.get(ENV_PREFIX + name.upper(), "")
            if name in _SECRETS and not values.get(name):
                path = values.get(f"{name}_file") or environ.get(f"{ENV_PREFIX}{name.upper()}_FILE")
                fields[name] = secret_from(path) if path else fields[name]
        return cls(**fields)

    def headers(self) -> dict[str, str]:
        """Return the headers that authenticate a request."""
        headers = {}
        if self.user:
            headers["Authorization"] = f"Basic {self._basic()}"
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if self.api_key:
            headers["Authorization"] = f"ApiKey {self.api_key}"
        if self.tenant:
            headers["X-Scope-OrgID"] = self.tenant
        return headers

    def secrets(self) -> list[str]:
        """Return the texts to hide: each secret as it is sent, and as it may come back within JSON or a URL."""
        basic = self._basic() if self.password else ""
        sent = [secret for secret in (self.password, self.token, self.api_key, basic) if secret]
        escaped = [json.dumps(secret, ensure_ascii=ensure)[1:-1] for secret in sent for ensure in (False, True)]
        for_html = [text.translate(_FOR_HTML) for text in escaped]  # as Go's encoder writes it
        in_urls = [quoted(secret, safe="") for secret in sent for quoted in (quote, quote_plus)]
        return sorted({*sent, *escaped, *for_html, *in_urls}, key=len, reverse=True)

    def _basic(self) -> str:
        return base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def secret_from(path: str) -> str:
    """Return a file's text without its last newline. Raises ConfigError when it cannot be read or is empty."""
    try:
        with open(path, encoding="utf-8") as file:
            secret = file.read().rstrip("\r\n")
    except OSError as error:
        msg = f"the secret in {path} cannot be read: {error.strerror}"
        raise ConfigError(msg) from None
    except ValueError:  # the error's text would show a part of the secret
        msg = f"the secret in {path} cannot be read: it is not UTF-8"
        raise ConfigError(msg) from None
    if not secret:
        msg = f"the secret in {path} is empty"
        raise ConfigError(msg)
    return secret
