"""A new layout through the public seam only: one class in a file outside the package, and its registration."""

from __future__ import annotations

import json

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from support.flats import FLATS, exact
from support.logs import put, write_log
from support.strategies import EXAMPLES
from support.tools import physical
from support.toy_layout import MARK, TOY, ToyLayout

import bamboo_logmetrics as blm
from bamboo_logmetrics.cli.commands import cli
from bamboo_logmetrics.format.layouts import LAYOUTS, decode_header, find_ids, register_layout
from bamboo_logmetrics.format.strict_json import encode
from bamboo_logmetrics.ship.entries import entry_of


@pytest.fixture(autouse=True, scope="module")
def registered():
    """Register the layout for the tests of this module."""
    register_layout(TOY)
    yield
    del LAYOUTS["toy"]


def test_a_log_is_written_in_it(open_log, path):
    """A log with the layout's name has its lines in the new form, from worker_started to worker_stopped."""
    log = open_log(layout="toy")
    events = [event for event in EXAMPLES if isinstance(event, (blm.ChatEvent, blm.ForwardEvent))]
    for event in events:
        assert log.emit(event, project="p")
    log.warning("text", password="hunter2")
    log.close()
    lines = [json.loads(line) for line in physical(path)]
    assert {line[0] for line in lines} == {MARK}
    assert lines[-2][-1] == {"plain": True, "password": "[redacted]"}
    read = list(blm.read(path))
    assert [line.event for line in read[1:-2]] == events
    assert {line.bound["project"] for line in read[1:-2]} == {"p"}
    assert (read[-2].text, read[-2].level) == ("text", "warning")


def test_the_environment_and_the_options_know_it(tmp_path, monkeypatch):
    """The option ``layout`` takes the name from the environment as well, and checks the layout's smallest line."""
    monkeypatch.setenv("BAMBOO_LOGMETRICS_LAYOUT", "toy")
    with blm.open_log(tmp_path / "a.jsonl") as log:
        log.info("text")
    assert physical(tmp_path / "a.jsonl")[0].startswith(b'["toy",')
    with pytest.raises(blm.ConfigError, match="1000"):
        blm.open_log(tmp_path / "b.jsonl", max_line_bytes=999)


def test_verify_takes_it_with_native_lines_between(path):
    """A log that was continued in another layout is read and accounted for, also by the command."""
    write_log(path, 5, layout="toy")
    write_log(path, 5)
    write_log(path, 5, layout="toy")
    lines = physical(path)
    put(path, [*lines[:3], b'["toy","cut', *lines[3:5], b'["another program",1]', *lines[5:]])
    report = blm.verify(path)
    assert (report.written, report.own, report.broken_lines, report.foreign_lines) == (15, 6, 1, 1)
    put(path, lines)
    assert blm.verify(path).ok
    assert sum(line.event is not None and line.event.kind == "chat.tool_called" for line in blm.read(path)) == 15
    result = CliRunner().invoke(cli, ["verify", str(path)])
    assert result.exit_code == 0
    assert "accounted for: 21 lines of 3 writers" in result.stdout


def test_a_missing_line_is_loss(path):
    """A gap in the numbers of its lines is found."""
    lines = write_log(path, 9, layout="toy")
    put(path, [*lines[:4], *lines[6:]])
    report = blm.verify(path)
    assert [problem.kind for problem in report.problems] == ["gap", "counts"]
    assert report.writers[0].gaps == ((5, 6),)


@given(FLATS)
@settings(max_examples=200)
def test_any_record_comes_back(flat):
    """The base class decodes the header and recognizes lines by ``write`` and ``read_back`` alone."""
    line = encode(TOY.write(flat))
    back = TOY.try_read_back(msgspec.json.decode(line))
    assert exact(back) == exact(msgspec.json.decode(encode(flat)))
    decode, header = decode_header(line)
    assert decode == TOY.decode_header
    assert (header.event, header.seq, header.writer) == (back["event"], back["seq"], back["writer"])


def test_a_shipper_takes_it(path):
    """A line is an entry to be delivered, and a broken one tells which line it was."""
    line = write_log(path, 1, layout="toy")[1]
    entry = entry_of(line)
    assert entry.flat() == TOY.read_back(json.loads(line))
    assert list(find_ids(line[:-5])) == [(entry.head.writer, 2)]


def test_a_name_is_taken_once():
    """Registering a layout again changes nothing; another one with its name is refused."""
    register_layout(TOY)
    with pytest.raises(ValueError, match="a layout named 'toy' is registered already"):
        register_layout(ToyLayout())
