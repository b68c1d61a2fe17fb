from __future__ import annotations

import dataclasses
import inspect
import logging
import re

import pytest
from support.packing import hide_zstd
from support.toy_option import ToyOptions

import bamboo_logmetrics as blm
from bamboo_logmetrics.errors import BambooLogError, ConfigError
from bamboo_logmetrics.options import ENV_PREFIX, Options, OptionValues, make_options, one_of, options_table
from bamboo_logmetrics.system import FS, Clock

DEFAULTS = {
    "level": "debug", "max_bytes": 64 * 1024 * 1024, "backup_count": None, "unshipped_backups": None, "rotate_every": None, "compress": None,
    "queue_size": 65_536, "queue_bytes": 64 * 1024 * 1024, "on_full": "drop_newest", "block_timeout": 5.0, "durability": "queue", "flush_interval": 0.05,
    "max_line_bytes": 32_000, "layout": "native", "redact": True, "close_on_sigterm": False, "processors": (), "mode": 0o640,
}  # fmt: skip

# option: (good values, bad values, what the message says is allowed, good texts of the environment with their values,
#          bad texts)
OPTIONS = {
    "level": (
        ["debug", "info", "warning", "error", "critical", 25, 0], ["", "loud", None, True, b"info", ["info"], 1.5],
        "one of 'debug', 'info', 'warning', 'error', 'critical'",
        {"ERROR": "error", " info ": "info", "warn": "warning", "30": "warning", "25": 25}, ["loud", "1.5"],
    ),
    "max_bytes": (
        [1, 10**12], [0, -1, None, 1.5, True, "5", b"5"],
        "a whole number from 1 on", {"1000": 1000, "1_000": 1000}, ["64MB", "0"],
    ),
    "backup_count": (
        [None, 0, 7], [-1, 1.0, False, "7"],
        "a whole number from 0 on, or None", {"7": 7, "none": None, "None": None}, ["x", "-1"],
    ),
    "unshipped_backups": (
        [None, 0, 7], [-1, 1.0, False, "7"],
        "a whole number from 0 on, or None", {"7": 7, "none": None}, ["x", "-1"],
    ),
    "rotate_every": (
        [None, "hour", "day"], ["", "minute", "DAY", 60, True, ["day"]],
        "one of None, 'hour', 'day'", {"hour": "hour", "none": None}, ["week"],
    ),
    "compress": (
        [None, "gzip", "zstd"], ["", "gz", "GZIP", 9, True],
        "one of None, 'gzip', 'zstd'", {"gzip": "gzip", "NONE": None}, ["lzma"],
    ),
    "queue_size": (
        [1, 10**6], [0, -5, None, 2.5, True, "100"],
        "a whole number from 1 on", {"100": 100}, ["many", "0"],
    ),
    "queue_bytes": (
        [1024, 10**12], [0, 1023, None, 2048.5, True, "2048"],
        "a whole number from 1024 on", {"2048": 2048}, ["64MB", "1000"],
    ),
    "on_full": (
        ["drop_newest", "drop_oldest", "block"], ["drop", "BLOCK", None, True, 1],
        "one of 'drop_newest', 'drop_oldest', 'block'", {"block": "block"}, ["wait"],
    ),
    "block_timeout": (
        [0, 0.5, 30], [-0.1, float("nan"), float("inf"), None, True, "5"],
        "seconds, from 0 on", {"0.5": 0.5, "2": 2.0}, ["5s", "nan"],
    ),
    "durability": (
        ["queue", "write", "fsync"], ["", "disk", None, True],
        "one of 'queue', 'write', 'fsync'", {"fsync": "fsync"}, ["none"],
    ),
    "flush_interval": (
        [0, 0.05, 1], [-1, float("-inf"), None, False, "0.05", [1]],
        "seconds, from 0 on", {"1e-2": 0.01}, ["fast", "-1"],
    ),
    "max_line_bytes": (
        [1_000, 256_000, 1_048_576], [999, 0, 1_048_577, None, 32_000.0, True, "32000"],
        "a whole number from 1000 to 1048576", {"1000": 1000}, ["32k", "10"],
    ),
    "layout": (
        ["native", "ecs", "otel"], ["ECS", "json", "", None, 1], "one of 'native', 'ecs', 'otel'",
        {"native": "native", "otel": "otel"}, ["json"],
    ),
    "redact": (
        [False, True, blm.Redact(keys=["badge"])], [0, 1, None, "yes", ["badge"]],
        "True, False or a Redact", {"1": True, "0": False, "false": False}, ["on", "badge"],
    ),
    "close_on_sigterm": (
        [False, True], [0, 1, None, "yes", "1"],
        "True or False", {"1": True, "TRUE": True, "yes": True, "0": False, "no": False, "false": False}, ["on", "2"],
    ),
    "processors": ([(), [], [print], (print, len)], ["x", None, 5, [5], [None], {print}, print, [print, "x"]],
                   "a list of structlog processors", {}, []),
    "mode": (
        [0, 0o600, 0o777], [-1, 0o1000, None, "640", 0.5, True],
        "a file mode such as 0o640", {"640": 0o640, "0o600": 0o600}, ["rw", "1777"],
    ),
}  # fmt: skip


def options_of(environ=None, **values):
    return make_options(values, environ or {})


def env(name, text):
    return {ENV_PREFIX + name.upper(): text}


def test_defaults():
    """The defaults are those of DESIGN 2, with a real clock and the real system calls."""
    options = options_of()
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
        assert getattr(options_of(**{name: value}), name) == value


@pytest.mark.parametrize("name", OPTIONS)
def test_bad_values(name):
    """A value without meaning is a ConfigError that names the option, the value and what would be right."""
    for value in OPTIONS[name][1]:
        with pytest.raises(ConfigError) as caught:
            options_of(**{name: value})
        assert str(caught.value) == f"option {name}={value!r} must be {OPTIONS[name][2]}"
        assert isinstance(caught.value, (ValueError, BambooLogError))


@pytest.mark.parametrize("name", OPTIONS)
def test_the_environment(name):
    """An option not given is read from ``BAMBOO_LOGMETRICS_<NAME>``; an argument beats it, an empty text is nothing."""
    good = OPTIONS[name][0]
    for text, value in OPTIONS[name][3].items():
        assert getattr(options_of(env(name, text)), name) == value
        assert getattr(options_of(env(name, text), **{name: good[-1]}), name) == good[-1]
    assert getattr(options_of(env(name, "")), name) == DEFAULTS[name]


@pytest.mark.parametrize("name", OPTIONS)
def test_bad_texts_in_the_environment(name):
    """A text that is not allowed is a ConfigError that names the variable and what is; an argument still beats it."""
    for text in OPTIONS[name][4]:
        with pytest.raises(ConfigError) as caught:
            options_of(env(name, text))
        variable = ENV_PREFIX + name.upper()
        assert str(caught.value) == f"environment variable {variable}={text!r} must be {OPTIONS[name][2]}"
        assert getattr(options_of(env(name, text), **{name: OPTIONS[name][0][0]}), name) == OPTIONS[name][0][0]


@pytest.mark.parametrize("name", ["processors", "clock", "fs"])
def test_objects_do_not_come_from_the_environment(name):
    """An object is never read from the environment."""
    assert type(getattr(options_of(env(name, "x")), name)) is type(getattr(options_of(), name))


def test_the_process_s_environment_is_the_default(monkeypatch, tmp_path):
    """Without an environment given, that of the process counts, for ``open_log`` too."""
    monkeypatch.setenv("BAMBOO_LOGMETRICS_LEVEL", "warning")
    assert make_options({}).level == "warning"
    with blm.open_log(tmp_path / "a.jsonl") as log:
        assert log.get_effective_level() == logging.WARNING
    with blm.open_log(tmp_path / "a.jsonl", level="info") as log:
        assert log.get_effective_level() == logging.INFO
    monkeypatch.setenv("BAMBOO_LOGMETRICS_LEVEL", "loud")
    with pytest.raises(ConfigError, match="environment variable BAMBOO_LOGMETRICS_LEVEL='loud' must be one of 'debug'"):
        blm.open_log(tmp_path / "b.jsonl")
    assert not (tmp_path / "b.jsonl").exists()


@pytest.mark.parametrize(
    ("level", "kept"),
    [
        (logging.DEBUG, "debug"),
        (logging.INFO, "info"),
        (30, "warning"),
        (40, "error"),
        (50, "critical"),
        ("INFO", "info"),
    ],
)
def test_levels_of_the_stdlib(level, kept):
    """A level may be the stdlib's number, or its name in any case."""
    assert options_of(level=level).level == kept


def test_unknown_options():
    """An unknown option is a ConfigError that names it and lists the options."""
    with pytest.raises(
        ConfigError, match=r"^unknown option 'maxbytes'; the options are backup_count, block_timeout, clock"
    ):
        options_of(maxbytes=5)
    with pytest.raises(ConfigError, match="unknown option 'backups'"):
        blm.open_log("never.jsonl", backups=5)


@pytest.mark.parametrize(("layout", "least"), [("native", 1_000), ("ecs", 1_500), ("otel", 2_500)])
def test_the_shortest_line_of_a_layout(layout, least):
    """A layout with longer lines needs a higher limit, so that no event is too long for it."""
    assert options_of(layout=layout, max_line_bytes=least).max_line_bytes == least
    with pytest.raises(ConfigError, match=f"max_line_bytes={least - 1} must be a whole number from {least} to 1048576"):
        options_of(layout=layout, max_line_bytes=least - 1)


def test_zstd_needs_its_extra(monkeypatch):
    """Asking for zstd where there is none is a ConfigError that says what to install."""
    with pytest.raises(ConfigError, match=f"option compress='zstd' needs .*{hide_zstd(monkeypatch)}"):
        options_of(compress="zstd")
    assert options_of(compress="gzip").compress == "gzip"


def test_clock_and_fs_are_taken_as_they_are():
    """A test's clock and system calls are used as given."""
    clock, fs = Clock(), FS()
    options = options_of(clock=clock, fs=fs)
    assert (options.clock, options.fs) == (clock, fs)


def test_the_table_has_every_option():
    """The table gives each option's default, environment variable, allowed values and documentation."""
    table = {item.name: item for item in options_table()}
    assert list(table) == [*DEFAULTS, "clock", "fs"]
    assert {name: table[name].default for name in DEFAULTS} == DEFAULTS
    without = {name for name, item in table.items() if item.environment is None}
    assert without == {"processors", "clock", "fs"}
    assert {item.environment for item in table.values() if item.environment} == {
        f"BAMBOO_LOGMETRICS_{name.upper()}" for name in DEFAULTS.keys() - without
    }
    assert {name: table[name].value_type.allowed for name in OPTIONS} == {
        name: example[2] for name, example in OPTIONS.items()
    }


def test_every_option_is_documented():
    """help() of the options has each of them, with its documentation and the values that are allowed."""
    text = " ".join(inspect.getdoc(Options).split())
    for item in options_table():
        assert item.doc.endswith(".")
        assert f"{item.name}: {item.doc} Allowed: {item.value_type.allowed}." in text


def test_a_subclass_adds_an_option():
    """An option of a subclass has a default, is read from the environment, and is checked like any other."""
    assert make_options({}, {}, ToyOptions).flavour == "sweet"
    options = make_options({"max_bytes": 5}, {"BAMBOO_LOGMETRICS_FLAVOUR": "sour"}, cls=ToyOptions)
    assert (type(options), options.flavour, options.max_bytes) == (ToyOptions, "sour", 5)
    with pytest.raises(ConfigError, match="^option flavour='salty' must be one of 'sweet', 'sour'$"):
        make_options({"flavour": "salty"}, {}, ToyOptions)
    with pytest.raises(ConfigError, match="^environment variable BAMBOO_LOGMETRICS_FLAVOUR='x' must be one of 'sweet'"):
        make_options({}, {"BAMBOO_LOGMETRICS_FLAVOUR": "x"}, ToyOptions)
    with pytest.raises(ConfigError, match=r"unknown option 'flavor'; the options are .*, flavour, "):
        make_options({"flavor": "sour"}, {}, ToyOptions)
    with pytest.raises(ConfigError, match="option max_bytes=0 must be"):
        ToyOptions(max_bytes=0)
    assert options_table(ToyOptions)[-1].doc == "Taste of a line."


def test_choices_may_grow():
    """A choice that is added later, as by ``register_layout``, is allowed and named."""
    choices = {"native": 1}
    value_type = one_of(choices)
    choices["toy"] = 2
    assert value_type.accepts("toy")
    assert not value_type.accepts(["toy"])
    assert value_type.allowed == "one of 'native', 'toy'"


def test_the_types_of_the_options_are_complete():
    """The keyword arguments that type checkers know are the options."""
    assert list(OptionValues.__annotations__) == [item.name for item in options_table()]
    fields = {item.name: str(item.type) for item in dataclasses.fields(Options)}
    for name, annotation in OptionValues.__annotations__.items():
        text = annotation.__forward_arg__
        choices = re.findall(r"'(\w+)'", text)
        table = {item.name: item for item in options_table()}
        if choices:
            assert [*filter(None, table[name].value_type.choices)] == choices
        else:
            assert text == fields[name]


@pytest.mark.parametrize(
    ("unknown", "hint"),
    [
        ("filename", "path="),
        ("maxBytes", "max_bytes="),
        ("backupCount", "backup_count="),
        ("when", "rotate_every="),
        ("encoding", "nothing: lines are UTF-8"),
        ("max_byte", "max_bytes="),
        ("compres", "compress="),
    ],
)
def test_an_unknown_option_names_the_right_one(unknown, hint):
    """Names of the standard library's handlers and slips of the pen get the right name."""
    with pytest.raises(ConfigError, match=rf"^unknown option '{unknown}'; .*; instead of {unknown} use {hint}$"):
        options_of(**{unknown: 1})
    with pytest.raises(ConfigError, match=r"unshipped_backups$"):
        options_of(nonsense=1)
