"""Files and answers that are small and would fill the memory, and the memory that a command takes over them."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib

from support.programs import ENVIRONMENT

MIB = 1024 * 1024
WRITER = "0123456789abcdef0123"
ROTATED = ".20261122T154713000000Z-" + WRITER

_LINE = b'{"timestamp":"2026-11-22T15:47:13.000000Z","level":"info","event":"x","v":1,"writer":"%b","seq":%d,"plain":true%b}\n'
_REPORT = """
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""
_CODE = {
    "verify": """
import sys, bamboo_logmetrics as blm
assert not blm.verify(sys.argv[1]).ok
""",
    "read": """
import sys, bamboo_logmetrics as blm
print(sum(1 for _ in blm.read(sys.argv[1], on_error="skip")), file=sys.stderr)
""",
    "ship": """
import sys
from bamboo_logmetrics.ship import GivenUpError, Shipper
try:
    Shipper(sys.argv[1], to="elasticsearch", url=sys.argv[2]).run(give_up_after=1)
except GivenUpError as error:
    print(error, file=sys.stderr)
""",
}


def peak(command, *args):
    """Return the greatest memory of ``verify``, ``read`` or ``ship`` over a log, in MiB."""
    return peak_of(_CODE[command], *args)


def peak_of(code, *args):
    """Return the greatest memory of a program, in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", code + _REPORT, *map(str, args)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout) // 1024


def line(seq, writer=WRITER, more=b""):
    """Return a plain line as bytes, with ``more`` at its end."""
    return _LINE % (writer.encode(), seq, more)


def gzipped(path, block, count):
    """Write a rotated file that decompresses to ``count`` times ``block``."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    with open(f"{path}{ROTATED}.gz", "wb") as file:
        file.writelines(packer.compress(block) for _ in range(count))
        file.write(packer.flush())


def _put(path, blocks):
    with open(path, "wb") as file:
        file.writelines(blocks)


def _zstd(path):
    """Write a frame of 2 KiB blocks that each stand for 128 KiB, in the raw form of RFC 8878: 65 kB for 2 GiB."""
    header = b"\x28\xb5\x2f\xfd" + b"\x00" + bytes([(21 - 10) << 3])  # a window of 2 MiB
    block = (131_072 << 3 | 1 << 1).to_bytes(3, "little") + b"x"  # RLE: this byte so many times
    last = (131_072 << 3 | 1 << 1 | 1).to_bytes(3, "little") + b"x"
    _put(f"{path}{ROTATED}.zst", [header, block * 16_000, last])


def _sparse(path):
    _put(path, [line(1)])
    os.truncate(path, 1024 * MIB)


def newlines(path):
    """Write a rotated file of 300 million empty lines."""
    gzipped(path, b"\n" * MIB, 300)


FILES = {
    "gzip, 600 MiB of zeros": lambda path: gzipped(path, bytes(MIB), 600),
    "zstd, 64 kB for 2 GiB": _zstd,
    "zstd, a window of 2 GiB": lambda path: _put(
        f"{path}{ROTATED}.zst", [b"\x28\xb5\x2f\xfd\x00", bytes([(31 - 10) << 3]), b"\x01\x00\x00"]
    ),
    "1 GiB without a newline": _sparse,
    "deep JSON": lambda path: _put(path, [line(1), b"[" * 4_000_000, b"\n", line(2)]),
    "wide JSON": lambda path: _put(path, [line(1), b"[" + b"[]," * 1_300_000 + b"[]]\n", line(2)]),
    "wide values": lambda path: _put(path, [line(1), line(2, more=b',"a":[' + b"{}," * 1_300_000 + b"{}]"), line(4)]),
    "an object of attributes": lambda path: _put(
        path, [line(1), b'{"attributes":[' + b'{"key":"","value":{}},' * 180_000 + b"{}]}\n"]
    ),
    "300,000 writers": lambda path: _put(path, (line(1, f"{number:020x}") for number in range(300_000))),
    "400,000 gaps": lambda path: _put(path, (line(2 * number) for number in range(400_000, 0, -1))),
    "200,000 reasons": lambda path: _put(path, (_dropped(number) for number in range(1, 200_000))),
    "200,000 empty lines": lambda path: _put(path, [line(1), b"\n" * 200_000]),
}


def _dropped(number):
    text = line(number).replace(b'"plain":true', b'"count":1,"reason":"%0200d"' % number)
    return text.replace(b'"event":"x"', b'"event":"system.metrics_dropped"')
