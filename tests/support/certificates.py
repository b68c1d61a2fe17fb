"""Certificates of an authority of the test's own, made by ``openssl``."""

from __future__ import annotations

import os
import ssl
import subprocess

_AUTHORITY = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n"
_END = (
    "basicConstraints=critical,CA:FALSE\nsubjectAltName=IP:127.0.0.1\nsubjectKeyIdentifier=hash\n"
    "authorityKeyIdentifier=keyid\n"
)


def _openssl(*args, folder):
    subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)


class Authority:
    """An authority; ``path`` is its certificate.

    Args:
        folder: where its files and those of ``issue`` are.
        name: what the files are called.
    """

    def __init__(self, folder, name="ca"):
        self._folder, self._name = folder, name
        self._sign(name, _AUTHORITY, "-signkey", f"{name}.key")
        self.path = str(folder / f"{name}.pem")

    def issue(self, name):
        """Return the paths of a certificate for 127.0.0.1, and of its key."""
        self._sign(name, _END, "-CA", f"{self._name}.pem", "-CAkey", f"{self._name}.key", "-CAcreateserial")
        return str(self._folder / f"{name}.pem"), str(self._folder / f"{name}.key")

    def _sign(self, name, extensions, *by):
        (self._folder / f"{name}.ext").write_text(extensions, encoding="utf-8")
        new = ("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}")
        _openssl(*new, "-keyout", f"{name}.key", "-out", f"{name}.csr", folder=self._folder)
        signed = ("-in", f"{name}.csr", "-out", f"{name}.pem", "-days", "2", "-extfile", f"{name}.ext")
        _openssl("x509", "-req", *signed, *by, folder=self._folder)


def serve_with(stub, cert, key, clients=None):
    """Have a StubServer that is not started yet speak TLS, and ask for a client's certificate by the authority ``clients``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    stub._server.socket = context.wrap_socket(stub._server.socket, server_side=True)
    stub.url = f"https://127.0.0.1:{stub.port}"
    return stub


def joined(path, *parts):
    """Write files one after the other into one; return its path."""
    with open(path, "w", encoding="utf-8") as file:
        for part in parts:
            with open(part, encoding="utf-8") as source:
                file.write(source.read())
    return os.fspath(path)
