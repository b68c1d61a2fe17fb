from __future__ import annotations

import logging.config

import pytest
from support.tools import flat, physical, tool

import bamboo_logmetrics as blm

RULES = blm.Redact(keys=["employee_id", "X-Badge"], patterns=[r"EMP-\d{6}", r"door (?P<secret>\w+)"])
LAYOUTS = ["native", "ecs", "otel"]
SECRET = "hunter2hunter2"


def write(log):
    """Log each place in which an own secret may stand, and a usual one."""
    log.info("EMP-123456 opened door zz7b", n=1)
    log.info("employeeId=s4711, x-badge: 's4712'")
    log.info("a", employee_id="s4713", EmployeeID=471_471_471_471_471, X_badge=["s4715"], none=None)
    log.info("b", items=[{"employee-id": "s4716", "EMP-123456": 1, "EMP-654321": [None, "EMP-111111"]}])
    log.emit(tool(), note="EMP-123456", employee_id="s4717")
    log.emit(blm.StorageError(error="EMP-123456 and door s4718", event_type="x"))
    log.bind(employee_id="s4719").emit(tool())
    log.info("password=" + SECRET)
    try:
        raise ValueError("EMP-123456")
    except ValueError:
        log.exception("c")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_own_keys_and_patterns_are_masked_everywhere(open_log, layout):
    """The application's keys and patterns are masked in texts, values, keys, errors and exceptions, in each layout."""
    log = open_log(layout=layout, max_line_bytes=9_000, redact=RULES)
    write(log)
    assert log.close()
    text = b"".join(physical(log.path)).decode()
    assert not [
        part for part in ("EMP-", "s471", "zz7b", "471471471471471", SECRET) if part in text.replace("EMP-\\\\d", "")
    ]
    assert log.stats().written == 9
    assert '"redact"' not in text


@pytest.mark.parametrize("layout", LAYOUTS)
def test_redact_false_masks_nothing_and_says_so(open_log, layout):
    """Without masking each text is written as it is, and the line worker_started tells it in each layout."""
    log = open_log(layout=layout, max_line_bytes=9_000, redact=False)
    write(log)
    log.emit(blm.StorageError(error=f"password={SECRET}", event_type="x"), api_key=SECRET)
    assert log.close()
    text = b"".join(physical(log.path)).decode()
    assert "[redacted]" not in text
    assert text.count(SECRET) == 3
    started = next(line for line in blm.read(log.path) if line.own)
    assert started.bound["redact"] is False


def test_harmless_records_keep_the_fast_path(open_log, monkeypatch):
    """With own rules a record without own secrets is written as ever; only one that may have some is looked at."""
    log, plain = open_log("a.jsonl", redact=RULES), open_log("b.jsonl")
    for each in (log, plain):
        each.info("all is well", n=1, s="x")
        each.emit(tool())
        assert each.close()
    drop = ("timestamp", "writer", "event_id")
    rows = [[{k: v for k, v in row.items() if k not in drop} for row in flat(each.path)[1:-1]] for each in (log, plain)]
    assert [row.keys() for row in rows[0]] == [row.keys() for row in rows[1]]


def test_the_environment_turns_masking_off(open_log, monkeypatch):
    """BAMBOO_LOGMETRICS_REDACT=0 masks nothing."""
    monkeypatch.setenv("BAMBOO_LOGMETRICS_REDACT", "0")
    log = open_log()
    log.info("password=" + SECRET)
    assert log.close()
    assert [row["event"] for row in flat(log.path)][1] == "password=" + SECRET


def test_a_configuration_file_gives_a_mapping(tmp_path):
    """In dictConfig a mapping with keys and patterns does."""
    handler = {
        "class": "bamboo_logmetrics.MetricsHandler",
        "path": str(tmp_path / "a.jsonl"),
        "redact": {"keys": ["badge"]},
    }
    logging.config.dictConfig({"version": 1, "handlers": {"h": handler}, "loggers": {"own": {"handlers": ["h"]}}})
    own = logging.getLogger("own")
    own.error("badge=a81f")
    own.handlers[0].close()
    own.handlers.clear()
    assert [row["event"] for row in flat(tmp_path / "a.jsonl")][1] == "badge=[redacted]"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"patterns": ["("]}, r"'\(' is not a regular expression: missing"),
        ({"patterns": ["a*"]}, "matches the empty text"),
        ({"patterns": "abc"}, "must be a list of texts"),
        ({"patterns": [5]}, "5 in patterns must be a text"),
        ({"keys": 5}, "must be a list of texts"),
        ({"keys": ["--"]}, "must have a letter or a digit"),
        ({"key": ["a"]}, "'key' is unknown; a mapping has 'keys' and 'patterns'"),
        ("yes", "True, False or a Redact"),
    ],
)
def test_bad_rules_are_told_at_opening(tmp_path, value, message):
    """A bad pattern, key or value raises ConfigError when the log is opened, in one line that names the remedy."""
    with pytest.raises(blm.ConfigError, match=message) as told:
        blm.open_log(tmp_path / "a.jsonl", redact=value)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "a.jsonl").exists()
