"""The model and the kind of answer in a body that passes in pieces."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bamboo_logmetrics.live.forwarding_scan import BodyScanner

_TEXTS = st.text(max_size=8) | st.sampled_from(['"', "\\", '\\"', '","model":"no', "model", "stream", "{", "]}"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=6,
)


def scanned(body, size=1, **options):
    scanner = BodyScanner(**options)
    for start in range(0, len(body), size):
        scanner.feed(body[start : start + size])
    return scanner


@given(
    before=st.dictionaries(_TEXTS.filter(lambda key: key not in {"model", "stream"}), _VALUES, max_size=4),
    model=st.text(min_size=1, max_size=10),
    stream=st.booleans(),
    size=st.integers(1, 9),
    form=st.sampled_from([{}, {"indent": 1}, {"ensure_ascii": False}]),
)
def test_any_object_in_any_pieces(before, model, stream, size, form):
    """Both keys are found whatever stands before them, wherever the body is cut."""
    value = {**before, "model": model, "inner": [before, {"model": "no", "stream": not stream}], "stream": stream}
    scanner = scanned(json.dumps(value, **form).encode(errors="surrogatepass"), size)
    assert (scanner.model, scanner.stream, scanner.is_done) == (model, stream, True)


@pytest.mark.parametrize(
    ("body", "model", "stream"),
    [
        (b'{"model": "m-1"}', "m-1", None),
        (b' {"stream": false, "a": "\\\\", "model": "m-1"', "m-1", False),
        (b'{"stream": true}', "", True),
        (b'{"model": 5, "stream": null}', "", False),
        (b'{"model": {"model": "x"}, "a": [1, {"model": "y"}], "b": "z"}', "", None),
        (b'{"a": "' + b'x\\"' * 5000 + b'", "model": "m-1"}', "m-1", None),
        (b'{"a": "' + b"x" * 9000 + b'\\\\", "model": "m-1"}', "m-1", None),
        (b'{"model": "' + b"x" * 9000 + b'"}', "", None),
        (b'{"model": "\\ud800"}', "", None),
        (b'{"a": ' + b"1" * 9000 + b', "model": "m-1"}', "", None),
        (b'[{"model": "x"}]', "", None),
        (b"--boundary\r\n", "", None),
        (b"", "", None),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_bodies_of_all_kinds(body, model, stream, size):
    """Only the two keys at the top of an object count."""
    scanner = scanned(body, size)
    if size < 100_000 or len(body) < 9000:
        assert (scanner.model, scanner.stream) == (model, stream)


def test_little_is_kept():
    """Of a long text only its place is kept."""
    scanner = BodyScanner()
    scanner.feed(b'{"input": "')
    for _ in range(1000):
        scanner.feed(b"x\\" * 500 + b'\\"')
        assert len(scanner._kept) <= 4096
    scanner.feed(b'", "model": "m-1", "stream": true}')
    assert (scanner.model, scanner.stream) == ("m-1", True)


def test_a_compressed_body():
    """A compressed body is read; one that is damaged, or of an unknown encoding, is not."""
    body = gzip.compress(b'{"model": "m-1"}')
    assert scanned(body, encodings="gzip").model == "m-1"
    assert scanned(b"no gzip", encodings="gzip").is_done
    assert scanned(body, encodings="unknown").is_done


def test_a_bomb_in_a_request():
    """A body that stands for far more than its bytes is read no further."""
    compressor = zlib.compressobj(wbits=31)
    parts = [compressor.compress(part) for part in (b'{"a": "', *[b"x" * 10_000_000] * 12)]
    scanner = scanned(b"".join(parts) + compressor.flush(), 65536, encodings="gzip")
    assert scanner.is_done
    assert scanner.model == ""
