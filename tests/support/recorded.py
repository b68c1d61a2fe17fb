"""Recorded exchanges with providers, where they are on this machine, and the usage that each provider reported."""

from __future__ import annotations

import gzip
import json
import random
import re
import zlib
from dataclasses import dataclass
from urllib.parse import urlsplit

from support import DATA
from support.provider_server import Answer

FOLDER = DATA / "http"
_OF_THE_CONNECTION = {"connection", "transfer-encoding", "content-length", "content-encoding", "date"}


_ERROR = re.compile(rb'"error"\s*:\s*\{')


@dataclass
class Exchange:
    """One exchange.

    Args:
        row: its row in the index.
        path: of the request, with its query.
        request: the body of the request.
        headers: of the answer, without those of the connection.
        body: of the answer.
    """

    row: dict
    path: str
    request: dict
    headers: dict
    body: bytes

    def answer(self, encoding, seed):
        """Return the answer of a server, with its body compressed and cut at random places."""
        body = ENCODERS[encoding](self.body)
        random_numbers = random.Random(seed)
        ends = sorted(random_numbers.randrange(len(body) + 1) for _ in range(min(20, len(body))))
        chunks = [body[start:end] for start, end in zip([0, *ends], [*ends, len(body)], strict=True) if start < end]
        headers = self.headers | ({} if encoding == "identity" else {"content-encoding": encoding})
        return Answer(self.row["status"], headers, chunks)

    @property
    def has_error(self):
        """True if the answer is an error, which that to a stream may be with status 200."""
        return self.row["status"] >= 400 or bool(_ERROR.search(self.body))

    @property
    def totals(self):
        """The prompt and the completion tokens that the provider reported; None where it reported none."""
        return totals(self.row["usage"]) if self.row["usage"] and self.row["status"] < 400 else None


def exchanges():
    """Return all exchanges; none where the recordings are not on this machine."""
    if not FOLDER.is_dir():
        return []
    return [_read(json.loads(line)) for line in (FOLDER / "index.jsonl").read_text(encoding="utf-8").splitlines()]


def _read(row):
    def part(kind):
        return json.loads((FOLDER / f"{row['name']}.{kind}.json").read_text(encoding="utf-8"))

    request, response = part("request"), part("response")
    url = urlsplit(request["url"])
    headers = {name: text for name, text in response["headers"].items() if name.lower() not in _OF_THE_CONNECTION}
    body = (FOLDER / f"{row['name']}.response.body").read_bytes()
    asked = request["body"] if isinstance(request["body"], dict) and "_raw" not in request["body"] else {}
    return Exchange(row, url.path + (f"?{url.query}" if url.query else ""), asked, headers, body)


def totals(usage):
    """Return (prompt tokens, completion tokens) of a provider's usage; caches are within the prompt."""
    if "promptTokenCount" in usage:
        thoughts = usage.get("thoughtsTokenCount", 0)
        return usage["promptTokenCount"], usage.get("candidatesTokenCount", 0) + thoughts
    if "prompt_tokens" in usage:
        return usage["prompt_tokens"], usage["completion_tokens"]
    cache = usage.get("cache_creation_input_tokens") or 0, usage.get("cache_read_input_tokens") or 0
    return usage["input_tokens"] + sum(cache), usage["output_tokens"]


def _zstd(body):
    import sys

    from bamboo_logmetrics.logfiles.compression import need_zstd

    module = need_zstd()
    return module.compress(body) if sys.version_info >= (3, 14) else module.ZstdCompressor().compress(body)


def _br(body):
    import brotli

    return brotli.compress(body)


ENCODERS = {"identity": bytes, "gzip": gzip.compress, "deflate": zlib.compress, "zstd": _zstd, "br": _br}
