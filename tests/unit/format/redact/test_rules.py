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


# (text, what it becomes with the own key "employee_id")
FORMS = [
    ('employee_id="Ann B. Smith" x', 'employee_id="[redacted]" x'),
    ("employeeId: 'Ann B.', n=1", "employeeId: '[redacted]', n=1"),
    ("employee_id=`a b`", "employee_id=`[redacted]`"),
    ('{"employee_id": "Ann \\"B\\" Smith", "n": 1}', '{"employee_id": "[redacted]", "n": 1}'),
    ('{"employee_id": 4711, "n": 1}', '{"employee_id": "[redacted]", "n": 1}'),
    ('{"employee_id": true, "n": 1}', '{"employee_id": "[redacted]", "n": 1}'),
    ('{"employee_id": [1, "a b", {"c": 2}], "n": 1}', '{"employee_id": "[redacted]", "n": 1}'),
    ('{"employee_id": {"a": "x] y"}, "z": 3}', '{"employee_id": "[redacted]", "z": 3}'),
    ('{"a":"{\\"employee_id\\":[\\"x\\",5],\\"k\\":1}"}', '{"a":"{\\"employee_id\\":\\"[redacted]\\",\\"k\\":1}"}'),
    ("employee_id={a: 5} x", "employee_id=[redacted] x"),
    ("employee_id=[1, 2] x", "employee_id=[redacted] x"),
    ("employee_id=(1, 'b c') x", "employee_id=[redacted] x"),
    ("employee_id=[1, 2", "employee_id=[redacted]"),
    ("employee_id=[1 'a' 2]", "employee_id=[redacted]'a' 2]"),
    ("employee_id=Smith", "employee_id=[redacted]"),
    ("EMPLOYEE-ID: REQUIRED", "EMPLOYEE-ID: [redacted]"),
    ("employee_id: both ann and bob", "employee_id: [redacted]"),
    ("employee_id:\n  Ann B\nn: 1", "employee_id:\n  [redacted]\nn: 1"),
    ("employee_id: |\n  Ann\n  Bob\nn: 1", "employee_id: |\n  [redacted]\nn: 1"),
    ("--employee-id 4711", "--employee-id [redacted]"),
    ("<employee_id>Ann B</employee_id>", "<employee_id>[redacted]</employee_id>"),
    ("?employee_id=4711&n=1", "?employee_id=[redacted]&n=1"),
    ("employee_id%3D4711%26n", "employee_id%3D[redacted]%26n"),
    ("**employee_id**: Ann", "**employee_id**: [redacted]"),
    ("| employee_id | Ann |", "| employee_id | [redacted] |"),
    ('employee_id="employee_id=5" x', 'employee_id="[redacted]" x'),
    ("my_employee_id=5", "my_employee_id=[redacted]"),
    ("employee_id=None", "employee_id=None"),
    ("employee_id=[redacted]", "employee_id=[redacted]"),
    ("employee_ids=5, employee_idx=6", "employee_ids=5, employee_idx=6"),
    ("no employee_id at all", "no employee_id at all"),
]


@pytest.mark.parametrize(("text", "masked"), FORMS, ids=[text[:40] for text, _ in FORMS])
def test_an_own_key_masks_what_the_usual_keys_mask(open_log, text, masked):
    """After an own key a whole value is masked in each form: quotes, JSON, lists, YAML, flags, elements, tables."""
    log = open_log(redact=blm.Redact(keys=["employee_id"]))
    log.info(text)
    log.info(masked)
    assert log.close()
    assert [row["event"] for row in flat(log.path)][1:-1] == [masked, masked]


def test_own_keys_in_pairs_and_arguments(open_log):
    """A value beside an own key, in a pair, a mapping of name and value or the arguments of a command, is masked."""
    log = open_log(redact=blm.Redact(keys=["employee_id"]))
    log.info(
        "a", pair=["employee-id", "Ann"], field={"name": "employee_id", "value": "Ann"}, flag=False, employee_id=True
    )
    log.info("b", argv=["run", "--employee-id", "Ann"], deep=[[{"employee_id": {"a": ["Ann"]}}]])
    assert log.close()
    first, second = flat(log.path)[1:-1]
    assert first["pair"] == ["employee-id", "[redacted]"]
    assert first["field"] == {"name": "employee_id", "value": "[redacted]"}
    assert (first["flag"], first["employee_id"]) == (False, "[redacted]")
    assert second["argv"] == ["run", "--employee-id", "[redacted]"]
    assert second["deep"] == [[{"employee_id": "[redacted]"}]]


def test_a_group_that_matches_nothing_masks_nothing(open_log):
    """Where the group ``secret`` is empty there is no secret; where it has no part in a match, the match is one."""
    log = open_log(redact=blm.Redact(patterns=["badge=(?P<secret>[0-9]*)", "door(?: (?P<secret>[0-9]+))?"]))
    log.info("badge=, badge=12 door door 34")
    assert log.close()
    assert flat(log.path)[1]["event"] == "badge=, badge=[redacted] [redacted] door [redacted]"


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
        *[
            ({"patterns": [pattern]}, "can match nothing; name what it must contain")
            for pattern in ("a*", r"\b", "(?=x)", "^", "$", "", "a|b*", "(?:x?)+", "(?<!a)", "(?P<secret>x*)", "(a)?")
        ],
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
