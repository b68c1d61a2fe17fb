from __future__ import annotations

import dataclasses
import logging
import sys

import pytest

import bamboo_logmetrics as blm
from bamboo_logmetrics.errors import BambooLogError, ConfigError
from bamboo_logmetrics.options import ENV_PREFIX, Options, make_options
from bamboo_logmetrics.system import FS, Clock

DEFAULTS = {
    "level": "debug", "max_bytes": 64 * 1024 * 1024, "backup_count": None, "unshipped_backups": None, "rotate_every": None, "compress": None,
    "queue_size": 65_536, "on_full": "drop_newest", "block_timeout": 5.0, "durability": "queue", "flush_interval": 0.05,
    "max_line_bytes": 32_000, "layout": "native", "close_on_sigterm": False, "processors": (), "mode": 0o640,
}  # fmt: skip

# option: (good values, bad values, what the message says is right, good texts of the environment with their values,
#          bad texts with what the message suggests)
OPTIONS = {
    "level": (
        ["debug", "info", "warning", "error", "critical"], ["", "warn", "loud", None, 15, True, b"info", ["info"]],
        "one of 'debug', 'info', 'warning', 'error', 'critical'", {"ERROR": "error", " info ": "info"}, {"loud": "one of"},
    ),
    "max_bytes": (
        [1, 10**12], [0, -1, None, 1.5, True, "5", b"5"],
        "a whole number from 1 on", {"1000": 1000, "1_000": 1000}, {"64MB": "a whole number such as 1000000", "0": "from 1 on"},
    ),
    "backup_count": (
        [None, 0, 7], [-1, 1.0, False, "7"],
        "a whole number from 0 on, or None", {"7": 7, "none": None, "None": None}, {"x": "a whole number such as 10, or none"},
    ),
    "unshipped_backups": (
        [None, 0, 7], [-1, 1.0, False, "7"],
        "a whole number from 0 on, or None", {"7": 7, "none": None}, {"x": "a whole number such as 10, or none"},
    ),
    "rotate_every": (
        [None, "hour", "day"], ["", "minute", "DAY", 60, True, ["day"]],
        "one of None, 'hour', 'day'", {"hour": "hour", "none": None}, {"week": "one of None, 'hour', 'day'"},
    ),
    "compress": (
        [None, "gzip", "zstd"], ["", "gz", "GZIP", 9, True],
        "one of None, 'gzip', 'zstd'", {"gzip": "gzip", "NONE": None}, {"lzma": "one of None, 'gzip', 'zstd'"},
    ),
    "queue_size": (
        [1, 10**6], [0, -5, None, 2.5, True, "100"],
        "a whole number from 1 on", {"100": 100}, {"many": "a whole number", "0": "from 1 on"},
    ),
    "on_full": (
        ["drop_newest", "drop_oldest", "block"], ["drop", "BLOCK", None, True, 1],
        "one of 'drop_newest', 'drop_oldest', 'block'", {"block": "block"}, {"wait": "one of 'drop_newest'"},
    ),
    "block_timeout": (
        [0, 0.5, 30], [-0.1, float("nan"), float("inf"), None, True, "5"],
        "seconds, from 0 on", {"0.5": 0.5, "2": 2.0}, {"5s": "give seconds such as 0.5", "nan": "seconds, from 0 on"},
    ),
    "durability": (
        ["queue", "write", "fsync"], ["", "disk", None, True],
        "one of 'queue', 'write', 'fsync'", {"fsync": "fsync"}, {"none": "one of 'queue', 'write', 'fsync'"},
    ),
    "flush_interval": (
        [0, 0.05, 1], [-1, float("-inf"), None, False, "0.05", [1]],
        "seconds, from 0 on", {"1e-2": 0.01}, {"fast": "give seconds such as 0.5", "-1": "seconds, from 0 on"},
    ),
    "max_line_bytes": (
        [1_000, 256_000], [999, 0, None, 32_000.0, True, "32000"],
        "a whole number from 1000 on", {"1000": 1000}, {"32k": "a whole number", "10": "from 1000 on"},
    ),
    "layout": (
        ["native", "ecs", "otel"], ["ECS", "json", "", None, 1], "one of 'native', 'ecs', 'otel'",
        {"native": "native", "otel": "otel"}, {"json": "one of 'native', 'ecs', 'otel'"},
    ),
    "close_on_sigterm": (
        [False, True], [0, 1, None, "yes", "1"],
        "True or False", {"1": True, "TRUE": True, "yes": True, "0": False, "no": False, "false": False}, {"on": "give 1 or 0", "2": "give 1 or 0"},
    ),
    "processors": ([(), [], [print], (print, len)], ["x", None, 5, [5], [None], {print}, print, [print, "x"]],
                   "a list of structlog processors", {}, {}),
    "mode": (
        [0, 0o600, 0o777], [-1, 0o1000, None, "640", 0.5, True],
        "a file mode such as 0o640", {"640": 0o640, "0o600": 0o600}, {"rw": "an octal mode such as 640", "1777": "a file mode"},
    ),
}  # fmt: skip


def made(environ=None, **given):
    return make_options(given, environ or {})


def env(name, text):
    return {ENV_PREFIX + name.upper(): text}


def test_defaults():
    """The defaults are those of DESIGN 2, with a real clock and the real system calls."""
    options = made()
    assert {name: getattr(options, name) for name in DEFAULTS} == DEFAULTS
    assert (type(options.clock), type(options.fs)) == (Clock, FS)
    assert [item.name for item in dataclasses.fields(Options)] == [*DEFAULTS, "clock", "fs"]
    assert set(OPTIONS) == set(DEFAULTS)
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.level = "info"


@pytest.mark.parametrize("name", OPTIONS)
def test_good_values(name):
    """Every good value of an option is taken as it is."""
    for value in OPTIONS[name][0]:
        assert getattr(made(**{name: value}), name) == value


@pytest.mark.parametrize("name", OPTIONS)
def test_bad_values(name):
    """A value without meaning is a ConfigError that names the option, the value and what would be right."""
    for value in OPTIONS[name][1]:
        with pytest.raises(ConfigError) as caught:
            made(**{name: value})
        assert str(caught.value) == f"option {name}={value!r} must be {OPTIONS[name][2]}"
        assert isinstance(caught.value, (ValueError, BambooLogError))


@pytest.mark.parametrize("name", OPTIONS)
def test_the_environment(name):
    """An option not given is read from ``BAMBOO_LOGMETRICS_<NAME>``; an argument beats it, an empty text is nothing."""
    good = OPTIONS[name][0]
    for text, value in OPTIONS[name][3].items():
        assert getattr(made(env(name, text)), name) == value
        assert getattr(made(env(name, text), **{name: good[-1]}), name) == good[-1]
    assert getattr(made(env(name, "")), name) == DEFAULTS[name]


@pytest.mark.parametrize("name", OPTIONS)
def test_bad_texts_in_the_environment(name):
    """A text without meaning is a ConfigError that names it and what to give; an argument still beats it."""
    for text, suggestion in OPTIONS[name][4].items():
        with pytest.raises(ConfigError) as caught:
            made(env(name, text))
        message = str(caught.value)
        assert suggestion in message
        assert message.startswith((f"{ENV_PREFIX}{name.upper()}={text!r} has no meaning: give ", f"option {name}="))
        assert getattr(made(env(name, text), **{name: OPTIONS[name][0][0]}), name) == OPTIONS[name][0][0]


@pytest.mark.parametrize("name", ["processors", "clock", "fs"])
def test_objects_do_not_come_from_the_environment(name):
    """What is no plain value is never read from the environment."""
    assert type(getattr(made(env(name, "x")), name)) is type(getattr(made(), name))


def test_the_process_s_environment_is_the_default(monkeypatch, tmp_path):
    """Without an environment given, that of the process counts, for ``open_log`` too."""
    monkeypatch.setenv("BAMBOO_LOGMETRICS_LEVEL", "warning")
    assert make_options({}).level == "warning"
    with blm.open_log(tmp_path / "a.jsonl") as log:
        assert log.get_effective_level() == logging.WARNING
    with blm.open_log(tmp_path / "a.jsonl", level="info") as log:
        assert log.get_effective_level() == logging.INFO
    monkeypatch.setenv("BAMBOO_LOGMETRICS_LEVEL", "loud")
    with pytest.raises(ConfigError, match="option level='loud' must be one of 'debug'"):
        blm.open_log(tmp_path / "b.jsonl")
    assert not (tmp_path / "b.jsonl").exists()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (logging.DEBUG, "debug"),
        (logging.INFO, "info"),
        (30, "warning"),
        (40, "error"),
        (50, "critical"),
        ("INFO", "info"),
    ],
)
def test_levels_of_the_stdlib(given, kept):
    """A level may be the stdlib's number, or its name in any case."""
    assert made(level=given).level == kept


def test_unknown_options():
    """An unknown option is a ConfigError that names it and lists the options."""
    with pytest.raises(
        ConfigError, match=r"^unknown option 'maxbytes'; the options are backup_count, block_timeout, clock"
    ):
        made(maxbytes=5)
    with pytest.raises(ConfigError, match="unknown option 'backups'"):
        blm.open_log("never.jsonl", backups=5)


@pytest.mark.parametrize(("layout", "least"), [("native", 1_000), ("ecs", 1_500), ("otel", 2_500)])
def test_the_shortest_line_of_a_layout(layout, least):
    """A layout with longer lines needs a higher limit, so that no event is too long for it."""
    assert made(layout=layout, max_line_bytes=least).max_line_bytes == least
    with pytest.raises(ConfigError, match=f"max_line_bytes={least - 1} must be a whole number from {least} on"):
        made(layout=layout, max_line_bytes=least - 1)


def test_zstd_needs_its_extra(monkeypatch):
    """Asking for zstd without the package is a ConfigError that says what to install."""
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(ConfigError, match=r"pip install 'bamboo_logmetrics\[zstd\]'"):
        made(compress="zstd")
    assert made(compress="gzip").compress == "gzip"


def test_clock_and_fs_are_taken_as_they_are():
    """A test's clock and system calls are used as given."""
    clock, fs = Clock(), FS()
    options = made(clock=clock, fs=fs)
    assert (options.clock, options.fs) == (clock, fs)
