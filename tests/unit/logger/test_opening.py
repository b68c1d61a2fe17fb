from __future__ import annotations

import asyncio
import gc
import sys
import sysconfig

import pytest
import structlog
from support.tools import flat, tool, typed

import bamboo_logmetrics as blm
from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.logger import opening
from bamboo_logmetrics.logger.target import NamedTarget
from bamboo_logmetrics.pipeline import diagnostics
from bamboo_logmetrics.testing import ManualClock


def test_configure_serves_the_whole_application(unconfigured, path):
    """After configure, both get_logger functions write to one log, which stats, flush and close control."""
    early = blm.get_logger(early=True)
    early_structlog = structlog.get_logger("name", lazy=True)
    blm.configure(path)
    early.emit(tool(1))
    early_structlog.info("two")
    structlog.get_logger().bind(a=1).emit(tool(3))
    assert blm.flush()
    assert blm.stats().written == 3
    assert blm.close()
    one, two, three = flat(path)[1:-1]
    assert (one["early"], two["lazy"], three["a"]) == (True, True, 1)


def test_configuring_again_moves_every_logger(unconfigured, tmp_path):
    """A second configure moves cached loggers to the new log, with its processors, and closes the old one."""
    blm.configure(tmp_path / "one.jsonl")
    cached, bound = structlog.get_logger(), blm.get_logger().bind(a=1)
    cached.info("1")
    bound.info("2")

    def mark(_, __, event_dict):
        return event_dict | {"marked": True}

    blm.configure(tmp_path / "two.jsonl", processors=[mark], level="warning")
    for log in (cached, bound, blm.get_logger()):
        log.warning("3")
        log.info("below the level")
    blm.close()
    assert [line["event"] for line in flat(tmp_path / "one.jsonl")[1:-1]] == ["1", "2"]
    assert [(line["event"], line["marked"]) for line in flat(tmp_path / "two.jsonl")[1:-1]] == [("3", True)] * 3
    assert blm.verify([tmp_path / "one.jsonl", tmp_path / "two.jsonl"]).ok


def test_loggers_have_their_names(unconfigured, path):
    """The name of a logger is its lines' ``logger``, as the handler writes it, of structlog's loggers and of ours."""
    early = structlog.get_logger("early")
    blm.configure(path)
    early.info("1")
    structlog.get_logger("app.db").bind(a=1).emit(tool(2))
    blm.get_logger(__name__, a=1).new(b=1).info("3")
    blm.get_logger("x", logger="mine").info("4")
    blm.get_logger("x").bind(logger="bound").info("5")
    for log in (blm.get_logger(), blm.get_logger(None), structlog.get_logger(), structlog.get_logger("")):
        log.info("without")
    blm.get_logger(name="a bound value").info("6")
    asyncio.run(blm.get_logger("async").ainfo("7"))
    blm.flush()
    lines = flat(path)[1:]
    assert [line.get("logger") for line in lines] == [
        "early", "app.db", __name__, "mine", "bound", None, None, None, None, None, "async"
    ]  # fmt: skip
    assert (lines[9]["name"], list(lines[1])[-2:]) == ("a bound value", ["logger", "a"])


def test_names_can_be_asked_for(unconfigured, path):
    """A logger knows its name, and structlog's processor adds it."""
    blm.configure(path, processors=[structlog.stdlib.add_logger_name, structlog.stdlib.filter_by_level])
    assert (blm.get_logger("a.b").bind(x=1).name, blm.get_logger().name) == ("a.b", "root")
    structlog.get_logger("a.b").info("1")
    blm.get_logger().info("2")
    blm.flush()
    assert [line["logger"] for line in flat(path)[1:]] == ["a.b", "root"]


def test_a_name_that_is_no_text(unconfigured, path):
    """Any value can be a name."""
    blm.configure(path)
    structlog.get_logger(5).info("x")
    blm.flush()
    assert flat(path)[1]["logger"] == "5"


def test_configuring_again_moves_named_loggers(unconfigured, tmp_path):
    """Named loggers, cached and bound ones too, move to the new log, and have its level, clock and durability."""
    named = [blm.get_logger("a"), structlog.get_logger("b"), blm.get_logger("a").bind(c=1)]
    for log in named:
        log.info("refused")
    blm.configure(tmp_path / "one.jsonl")
    for log in named:
        log.info("1")
    clock = ManualClock(1_700_000_000_000_000_000)
    blm.configure(tmp_path / "two.jsonl", level="warning", durability="write", clock=clock)
    for log in named:
        log.info("below the level")
        log.warning("2")
        assert log.get_effective_level() == 30
    blm.close()
    assert [line["logger"] for line in flat(tmp_path / "one.jsonl")[1:-1]] == ["a", "b", "a"]
    two = flat(tmp_path / "two.jsonl")[1:-1]
    assert [(line["logger"], line["timestamp"]) for line in two] == [
        (name, "2023-11-14T22:13:20.000000Z") for name in "aba"
    ]


def test_named_loggers_that_are_dropped(unconfigured, path):
    """Targets of names that nobody uses any more are forgotten, and the log stays open."""
    blm.configure(path)
    for number in range(100):
        blm.get_logger(f"name {number}").info("x")
    gc.collect()
    assert len(unconfigured._named) == 0
    assert blm.get_logger().emit(tool())


def test_a_replacement_while_a_name_is_made(unconfigured, tmp_path, monkeypatch):
    """A named target that is made while another thread calls configure follows to the new log."""
    blm.configure(tmp_path / "one.jsonl")

    class Switching(NamedTarget):
        @property
        def put(self):
            return None

        @put.setter
        def put(self, value):
            if unconfigured.pipeline.path.endswith("one.jsonl"):
                blm.configure(tmp_path / "two.jsonl")

    target = Switching(unconfigured, "x")
    assert target.pipeline is unconfigured.pipeline
    assert target.pipeline.path.endswith("two.jsonl")


def test_a_bad_second_configure_changes_nothing(unconfigured, path):
    """When configure fails, the log that was there goes on."""
    blm.configure(path)
    with pytest.raises(blm.ConfigError):
        blm.configure(path, max_bytes="many")
    assert blm.get_logger().emit(tool())
    blm.close()
    assert len(typed(path)) == 1


def test_without_configure(unconfigured, capsys):
    """Before configure events are refused and said so on stderr once; stats, flush and close name the remedy."""
    assert not blm.get_logger().emit(tool())
    blm.get_logger().info("x")
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "call bamboo_logmetrics.configure(path) first" in err
    for call in (blm.stats, blm.flush, blm.close):
        with pytest.raises(blm.ConfigError, match="configure"):
            call()


def test_durable_configuration(unconfigured, path):
    """The configured log honours durability for events and plain lines."""
    blm.configure(path, durability="write")
    assert blm.get_logger().emit(tool())
    blm.get_logger().info("x")
    assert len(flat(path)) == 3
    blm.close()


@pytest.mark.parametrize("path", [None, 5, object()])
def test_a_path_that_is_none(path):
    """A value that is not a path is a ConfigError that names the types of a path."""
    with pytest.raises(blm.ConfigError, match="path must be a file's path"):
        blm.open_log(path)


def test_a_path_without_a_name(tmp_path):
    """A path that names no file is a ConfigError."""
    with pytest.raises(blm.ConfigError, match="must name a file"):
        blm.open_log(f"{tmp_path}/")


@pytest.mark.parametrize("kind", [str, bytes, lambda path: path])
def test_paths_of_any_kind(kind, path):
    """A path may be a str, bytes or a pathlib.Path."""
    any_path = kind(str(path)) if kind is not bytes else str(path).encode()
    with blm.open_log(any_path) as log:
        assert log.path == str(path)


def test_a_free_threaded_build_is_refused(monkeypatch, path):
    """Without the GIL the counts would not be exact, so opening a log is a PlatformError."""
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    with pytest.raises(
        blm.PlatformError, match=r"only under the GIL: use Python's ordinary build, or set PYTHON_GIL=1"
    ):
        blm.open_log(path)
    assert not path.exists()


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="needs a free-threaded build of Python")
@pytest.mark.parametrize(("gil", "refused"), [("0", True), ("1", False)])
def test_a_real_free_threaded_build(run_python, monkeypatch, path, gil, refused):
    """A free-threaded build is refused as long as it runs without the GIL."""
    monkeypatch.setenv("PYTHON_GIL", gil)
    done = run_python("import sys, bamboo_logmetrics as blm; print(blm.open_log(sys.argv[1]).close())", path)
    assert ("PlatformError" in done.stderr, done.stdout.strip()) == (refused, "" if refused else "True")


def test_the_environment_gives_options(monkeypatch, path):
    """An option that is not passed is read from the environment."""
    monkeypatch.setenv("BAMBOO_LOGMETRICS_LEVEL", "error")
    with blm.open_log(path) as log:
        log.info("no")
        assert log.stats().emitted == 0
    with blm.open_log(path, level="info") as log:
        log.info("yes")
        assert log.stats().emitted == 1


@pytest.mark.parametrize("name", ["clock", "fs"])
def test_a_system_that_is_none(path, name):
    """A clock or a file system of another type is a ConfigError, not an error at the first event."""
    with pytest.raises(blm.ConfigError, match=f"option {name}=None must be a"):
        blm.open_log(path, **{name: None})


def test_a_path_with_a_nul(tmp_path):
    """A path that no system takes is a ConfigError."""
    with pytest.raises(blm.ConfigError, match="path must be a file's path"):
        blm.open_log(f"{tmp_path}/a\0b")


def test_a_relative_path_where_the_directory_is_gone(tmp_path, monkeypatch):
    """In a current directory that was removed, a relative path is a ConfigError that says what to give."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ConfigError, match="give an absolute path"):
        blm.open_log("a.jsonl")


def test_an_unpickled_logger_of_long_lines_on_a_pipe(monkeypatch, capsys):
    """A log whose lines are too long for a pipe of several processes is not opened again elsewhere; stderr has why."""
    monkeypatch.setattr(opening, "is_pipe", lambda _: True)
    target = opening._reopened("/dev/stdout", {"max_line_bytes": 32_000})
    assert target.pipeline is None
    diagnostics.stderr.report_owed()
    assert "is for one process: use at most 4096" in capsys.readouterr().err
