"""Every event, destination, layout, importer and option is known wherever all of its kind are listed."""

from __future__ import annotations

import dataclasses
import json
import re

import click
import pytest
from click.testing import CliRunner
from support import ROOT
from support.flats import golden
from support.strategies import EVENT_CLASSES, EXAMPLES, HEADER, fields_in_line
from support.tools import tool

import bamboo_logmetrics as blm
from bamboo_logmetrics import events
from bamboo_logmetrics.cli.commands import cli
from bamboo_logmetrics.events import statuses
from bamboo_logmetrics.format.flatten import expand, level_of
from bamboo_logmetrics.format.layouts import LAYOUTS, flat_of, mapping, semconv
from bamboo_logmetrics.importers import IMPORTERS
from bamboo_logmetrics.options import make_options, options_table
from bamboo_logmetrics.ship.destinations import DESTINATIONS
from bamboo_logmetrics.usage.providers import HOSTS

KINDS = sorted(EVENT_CLASSES)
STATUSES = statuses._Status.__subclasses__()
REFERENCE = ROOT / "docs" / "reference"


def reference(page):
    return (REFERENCE / page).read_text(encoding="utf-8")


def example(kind, **changes):
    """Return the flat record of an event of one kind."""
    event = next(event for event in EXAMPLES if event.kind == kind)
    return expand(dataclasses.replace(event, **changes), {})


# each kind that has a status, with each of its statuses
WITH_STATUS = [
    (kind, status)
    for kind in KINDS
    for cls in STATUSES
    if {item.name: item.type for item in dataclasses.fields(EVENT_CLASSES[kind])}.get("status") == cls.__name__
    for status in cls
]


# -- events --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_is_exported(kind):
    """Each event class is a public name of the package and of ``events``."""
    cls = EVENT_CLASSES[kind]
    for module in (blm, events):
        assert cls.__name__ in module.__all__
        assert getattr(module, cls.__name__) is cls


@pytest.mark.parametrize("cls", STATUSES, ids=lambda cls: cls.__name__)
def test_a_status_is_exported(cls):
    """Each enum of statuses is a public name of the package and of ``events``."""
    assert getattr(blm, cls.__name__) is getattr(events, cls.__name__) is cls


def test_every_kind_has_its_semantics():
    """The table of semantic conventions has a row for each kind, and no other."""
    assert sorted(semconv.KIND_SEMANTICS) == KINDS
    assert set(KINDS) >= semconv.METRICS


@pytest.mark.parametrize(("kind", "status"), WITH_STATUS, ids=str)
def test_every_status_has_its_outcome(kind, status):
    """An event with a status has an outcome, but while it runs; a failure has an error's type."""
    flat = example(kind, status=status)
    outcome = semconv.outcome(flat)
    assert (outcome is None) == (status == "running")
    assert (semconv.error_type(flat) is not None) == (outcome == "failure")


def test_every_event_with_a_status_is_tested_with_it():
    """No event has a status that is not one of the enums."""
    kinds = {kind for kind in KINDS if "status" in fields_in_line(EVENT_CLASSES[kind])}
    assert kinds == {kind for kind, _ in WITH_STATUS}
    assert len(STATUSES) == 3


@pytest.mark.parametrize(("kind", "status"), WITH_STATUS, ids=str)
def test_every_status_has_its_level(kind, status):
    """A failure is an error, by the same statuses as in the semantic conventions; anything else is an info."""
    flat = example(kind, status=status)
    assert flat["level"] == ("error" if semconv.outcome(flat) == "failure" else "info")


@pytest.mark.parametrize("kind", KINDS)
def test_every_event_has_a_level(kind):
    """Each event's level is one of ours; what failed or was lost is not an info."""
    event = next(event for event in EXAMPLES if event.kind == kind)
    outcome = semconv.outcome(expand(event, {}))
    levels = {"failure": {"warning", "error"}, "unknown": {"info"}, "success": {"info"}, None: {"info", "warning"}}
    assert level_of(event) in levels[outcome]


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_has_its_row(kind):
    """Each field that a kind's line may have has a row in the table of the layouts."""
    fields = fields_in_line(EVENT_CLASSES[kind]) - {"meta", "usage", "occurred_at", *HEADER}
    assert fields <= set(mapping.rows_of({"event": kind}))


def test_rows_of_one_kind_are_of_a_kind_that_exists():
    """No row of the table is for a kind that does not exist."""
    assert set(mapping.ONLY_IN) <= set(KINDS)


@pytest.mark.parametrize("file", ["lines.jsonl", "ecs.jsonl", "otel.jsonl"])
def test_every_event_has_a_golden_line(file):
    """Each kind has a line in the golden file of each layout."""
    flats = [flat_of(json.loads(line)) for line in golden(file)]
    assert {flat["event"] for flat in flats if "plain" not in flat} >= set(KINDS)


def test_every_event_has_a_golden_tagged_form():
    """Each kind has a line in the golden file of the tagged form, and an example."""
    tagged = {blm.MetricsEvent.from_json(line).kind for line in golden("tagged.jsonl")}
    assert tagged >= set(KINDS)
    assert {event.kind for event in EXAMPLES} >= set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_event_is_documented(kind):
    """Each kind and its class are on the page of events; a kind of the log's own on that of the line."""
    page = reference("events.md")
    assert f"### {EVENT_CLASSES[kind].__name__}\n\n`{kind}`" in page
    if kind.startswith("system."):
        assert f"| `{kind}` |" in reference("line-format.md")


def test_every_row_is_documented():
    """Each row of the table of the layouts is on the page of the line."""
    page = reference("line-format.md")
    for row in mapping.ROWS:
        assert f"| `{row.key}` | `{row.otel}` |" in page


def test_every_host_is_documented():
    """The page of usage names each host that is observed, and its provider."""
    rows = re.findall(r"^\| `([\w.]+)` \| (`.*`) \|$", reference("usage.md").partition("## Hosts")[2], re.MULTILINE)
    documented = {host: provider for provider, hosts in rows for host in re.findall(r"`([^`]+)`", hosts)}
    assert {host: documented.get(host) for host in HOSTS} == dict(HOSTS)


def test_well_known_names_are_documented():
    """Each well-known bound name is on the page of the line, with the type that it has in the layouts."""
    section = reference("line-format.md").partition("## Well-known bound names")[2].partition("\n## ")[0]
    types = {}
    for line in section.splitlines():
        names, kind = ([*line.split("|"), "", ""])[1:3]
        types |= dict.fromkeys(re.findall(r"`(\w+)`", names), kind.strip())
    ours = {"keyword": "text", "long": "integer", "double": "number"}
    rows = {row.key: ours.get(row.type.elastic) for row in mapping.ROWS}
    assert len(types) > 40
    assert types == {name: rows[name] for name in types}
    of_events = set().union(*(fields_in_line(cls) for cls in EVENT_CLASSES.values()), HEADER)
    others = {"service_name", "env", "exception", "truncated"}  # of any line
    assert {row.key for row in mapping.EVERYWHERE} - of_events - others <= set(types)


# -- what the command line offers ------------------------------------------------------------


def command(*names):
    """Return a command, and its parameters by their options."""
    context, current = click.Context(cli), cli
    for name in names:
        current = current.get_command(context, name)
        context = click.Context(current, parent=context)
    return current, {option: parameter for parameter in current.get_params(context) for option in parameter.opts}


@pytest.mark.parametrize("name", DESTINATIONS)
def test_every_destination_is_offered(name):
    """``ship --to`` offers each destination, with its options, and the pages name them."""
    _, options = command("ship")
    assert name in options["--to"].type.choices
    own = {"--" + item.name.replace("_", "-") for item in dataclasses.fields(DESTINATIONS[name].Options)}
    assert own <= set(options)
    heading = next(line for line in reference("cli.md").splitlines() if line.startswith("## bamboo-logmetrics ship"))
    assert name in heading
    assert name in reference("shipping.md").lower()
    for option in own:
        assert option in reference("cli.md")


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_offered(name, path, monkeypatch):
    """The commands that write a log take each layout from the environment, ``verify`` reads it, the pages name it."""
    monkeypatch.setenv("BAMBOO_LOGMETRICS_LAYOUT", name)
    with blm.open_log(path) as log:
        log.emit(tool())
    for line in path.read_bytes().splitlines():
        assert LAYOUTS[name].try_read_back(json.loads(line)) is not None
    result = CliRunner().invoke(cli, ["verify", str(path)])
    assert result.exit_code == 0, result.output
    assert f'"{name}"' in reference("options.md")
    assert name in reference("line-format.md")


@pytest.mark.parametrize("name", IMPORTERS)
def test_every_importer_is_offered(name):
    """``import`` has a command for each importer, and the table of the commands names it with its usual place."""
    importing, options = command("import", name)
    assert importing.name == name
    assert "--output" in options
    (row,) = [line for line in reference("cli.md").splitlines() if line.startswith(f"| `{name}` |")]
    assert IMPORTERS[name].usual_path in row or name == "auto"


@pytest.mark.parametrize("info", options_table(), ids=lambda info: info.name)
def test_every_option_is_read_from_the_environment(info):
    """The environment sets each option whose value a text can express; the page of the options has a row for each."""
    assert f"\n| `{info.name}` |" in reference("options.md")
    if info.environment is None:
        assert info.name in {"processors", "clock", "fs"}
        return
    assert info.environment == f"BAMBOO_LOGMETRICS_{info.name.upper()}"
    text = OTHER_VALUES[info.name]
    assert getattr(make_options({}, {info.environment: text}), info.name) != info.default


OTHER_VALUES = {
    "level": "error", "max_bytes": "1000000", "backup_count": "3", "unshipped_backups": "3", "rotate_every": "hour",
    "compress": "gzip", "queue_size": "10", "queue_bytes": "4096", "on_full": "block", "block_timeout": "1.5", "durability": "fsync",
    "flush_interval": "1.5", "max_line_bytes": "9000", "layout": "ecs", "redact": "no", "close_on_sigterm": "yes", "mode": "600",
}  # fmt: skip
