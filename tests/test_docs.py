"""README and docs: examples run, links lead somewhere, and nothing public is left out."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location

import click
import pytest
from support import ROOT
from support.stub_server import StubServer

import bamboo_logmetrics as blm
from bamboo_logmetrics.options import options_table

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [*ROOT.glob("*.md"), *DOCS]
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")
REPOSITORY = SETUP["metadata"]["url"]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text, language):
    return [body for tag, body in BLOCK.findall(text) if tag == language]


def name_of(path):
    return str(path.relative_to(ROOT))


# -- examples ---------------------------------------------------------------------------

WITH_EXAMPLES = [
    page
    for page in map(name_of, PAGES)
    if blocks(read(page), "python")
    and page not in {"docs/tutorial.md", "docs/reference/events.md", "docs/guides/servers.md"}
]


@pytest.mark.parametrize("page", WITH_EXAMPLES)
def test_every_python_example_runs(page, run_python):
    """The examples of a page run in their order, each in a Python of its own, in one directory, against a server."""
    with StubServer() as stub:
        for example in blocks(read(page), "python"):
            program = run_python(example.replace("http://localhost:3100", stub.url))
            assert program.returncode == 0, f"{example}\n{program.stderr}"
            assert not program.stderr or "StreamHandler" in example
    assert bool(stub.stored) == ("localhost:3100" in "".join(blocks(read(page), "python")))


def test_the_readme_s_example_writes_the_lines_it_shows(run_python, tmp_path):
    """README shows the two lines that its example writes, but for ids and times."""
    text = read("README.md")
    (example,) = blocks(text, "python")
    program = run_python(f"import os\nos.chdir({str(tmp_path)!r})\n{example}")
    assert program.returncode == 0, program.stderr
    varying = re.compile(r'("(?:timestamp|writer|event_id)":")[^"]*')
    _, *written, _ = (tmp_path / "logs/agent.jsonl").read_text(encoding="utf-8").splitlines()
    (shown,) = blocks(text, "json")
    assert [varying.sub(r"\1", line) for line in written] == [varying.sub(r"\1", line) for line in shown.splitlines()]
    assert len(example.splitlines()) == 10


def programs(folder):
    """Make a folder with the commands `python` and `bamboo-logmetrics`, and return an environment that has them."""
    folder.mkdir()
    for name, command in [("python", '"$@"'), ("bamboo-logmetrics", '-m bamboo_logmetrics "$@"')]:
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {command}\n', encoding="utf-8")
        script.chmod(0o755)
    return os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}


def shell(command, cwd, env):
    return subprocess.run(command, shell=True, capture_output=True, text=True, cwd=cwd, env=env, check=False)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def background():
    """Run a command in the background until the test is over, and return it once it has written its first line."""
    with ExitStack() as stack:

        def start(command, **options):
            process = stack.enter_context(subprocess.Popen(shlex.split(command), text=True, stdout=-1, **options))
            stack.callback(process.kill)
            assert process.stdout.readline() == "listening\n"
            return process

        yield start


def test_the_tutorial_runs(tmp_path, background):
    """Every file of the tutorial is saved and every command is run, in their order; the server gets each line once."""
    env, outputs = programs(tmp_path / "bin"), {}
    text = read("docs/tutorial.md").replace("3100", str(free_port()))
    for language, body in BLOCK.findall(text):
        if language == "python":
            (tmp_path / body.splitlines()[0].removeprefix("# ")).write_text(body, encoding="utf-8")
        for line in body.splitlines() if language == "console" else ():
            command = line.removeprefix("$ ")
            if command.endswith(" &"):
                server = background(command[:-2], cwd=tmp_path, env=env, stderr=subprocess.DEVNULL)
            elif command == "kill %1":
                server.terminate()
            else:
                result = shell(command, tmp_path, env)
                assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
                outputs[command] = result.stdout
    stored = server.communicate(timeout=30)[0]
    assert sum(map(int, re.findall(r"stored (\d+) lines", stored))) == 2_000 + 2
    assert "emitted=5" in outputs["python agent.py"]
    assert "gpt-5-mini 1801 tokens in 2345 ms" in outputs["python report.py"]
    assert outputs["grep trace_id logs/web.jsonl"].count("trace_id") == 2
    assert "busy.jsonl." in outputs["ls -l logs"]


def test_every_line_for_the_shell_works(tmp_path):
    """The one-liners for the shell work on the demo's files and each shows something."""
    for tool in ("jq", "zgrep"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    env = programs(tmp_path / "bin")
    commands = [line for block in blocks(read("docs/guides/shell.md"), "sh") for line in block.splitlines()]
    assert len(commands) == 10
    for line in commands:
        result = shell(line, tmp_path, env)
        assert result.returncode == 0, f"{line}\n{result.stderr}"
        assert result.stdout.strip() not in {"", "0", "null"}, line


def test_every_question_has_an_answer(tmp_path, monkeypatch):
    """Each command of the page of questions works on the demo's log, in the order of the page, and shows or writes something."""
    from click.testing import CliRunner

    from bamboo_logmetrics.cli.commands import cli

    monkeypatch.chdir(tmp_path)
    commands = [line for block in blocks(read("docs/guides/questions.md"), "console") for line in block.splitlines()]
    assert len(commands) > 12
    for line in commands:
        arguments = shlex.split(line.removeprefix("$ bamboo-logmetrics "))
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 0, f"{line}\n{result.output}"
        assert result.stdout or (tmp_path / arguments[-1]).stat().st_size > 100, line


COMMANDS = [
    (name_of(path), line)
    for path in PAGES
    for block in blocks(path.read_text(encoding="utf-8"), "console")
    for line in block.splitlines()
    if line.startswith("$ bamboo-logmetrics ")
]


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_every_command_of_a_page_is_understood(page, line, tmp_path, monkeypatch):
    """A command that a page shows has only arguments and options that there are."""
    from bamboo_logmetrics.cli.commands import cli

    monkeypatch.chdir(tmp_path)
    (tmp_path / "events.jsonl").touch()
    arguments = shlex.split(line.replace("~/.claude/projects", str(tmp_path)))[2:]
    arguments = arguments[: arguments.index(">")] if ">" in arguments else arguments
    command, context = cli, None
    while isinstance(command, click.Group):
        if arguments == ["--version"]:
            return
        name, command, arguments = command.resolve_command(click.Context(command, parent=context), arguments)
        assert command is not None
    command.make_context(name, arguments)


def test_the_examples_of_the_layouts_read_and_write():
    """The lines of other layouts on the page of the line are one and the same line, and what the code writes."""
    import msgspec

    from bamboo_logmetrics.format.layouts import LAYOUTS, flat_of
    from bamboo_logmetrics.format.strict_json import encode

    (examples,) = blocks(read("docs/reference/line-format.md"), "json")
    lines = dict(zip(("ecs", "otel"), examples.splitlines(), strict=True))
    flat = flat_of(msgspec.json.decode(lines["ecs"]))
    assert flat == flat_of(msgspec.json.decode(lines["otel"]))
    for name, line in lines.items():
        assert encode(LAYOUTS[name].write(flat)).decode() == line


def test_the_tagged_examples_read_and_write():
    """The tagged examples on the page of events are what the code writes, byte for byte."""
    section = read("docs/reference/events.md").partition("## Tagged JSON")[2]
    (examples,) = blocks(section, "json")
    for line in examples.splitlines():
        assert blm.MetricsEvent.from_json(line).to_json() == line


# -- nothing is left out ------------------------------------------------------------------


def test_every_event_has_an_example():
    """The page of events has a section for each event class, whose example gives the keys that it shows."""
    from bamboo_logmetrics import processors
    from bamboo_logmetrics.events.registry import EVENT_CLASSES, is_builtin

    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##)", read("docs/reference/events.md"), re.MULTILINE | re.DOTALL))
    assert sections.keys() == {cls.__name__ for cls in EVENT_CLASSES.values() if is_builtin(cls)}
    for name, text in sections.items():
        (example,), (shown,) = blocks(text, "python"), blocks(text, "json")
        event = eval(example, {"blm": blm})
        assert type(event).__name__ == name
        assert f"`{event.kind}`" in text
        flat = processors.expand(None, "info", {"event": event})
        assert json.loads(shown).items() <= flat.items()
        assert flat.keys() - json.loads(shown).keys() <= {"timestamp", "v", "event_id"}


def test_the_other_examples_of_the_events_run(run_python):
    """The examples behind the events on their page run."""
    section = read("docs/reference/events.md").partition("\n## Token usage")[2]
    for example in blocks(section, "python"):
        program = run_python(example)
        assert program.returncode == 0, program.stderr


@pytest.mark.parametrize("module", ["", ".usage", ".ship", ".instrument", ".processors", ".testing"])
def test_every_public_name_is_in_the_reference(module):
    """The reference has an entry for each public name, under its module, and no other."""
    text = read("docs/reference/api.md")
    parts = re.split(r"^\.\. currentmodule:: bamboo_logmetrics(\S*)$", text, flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    entries = re.findall(r"^\.\. (?:auto\w+|data):: (\w+)", sections[module], re.MULTILINE)
    assert sorted(entries) == sorted(import_module(f"bamboo_logmetrics{module}").__all__)


def test_every_option_is_documented():
    """The table of options has each with its default and its choices; those that the environment cannot set are named."""
    text = read("docs/reference/options.md")
    rows = {
        name: (default, meaning)
        for name, default, meaning in re.findall(r"^\| `(\w+)` \| ([^|]+) \| (.+) \|$", text, re.MULTILINE)
    }
    assert list(rows) == [info.name for info in options_table()]
    for info in options_table():
        default, meaning = rows[info.name]
        shown = {"mode": "`0o640`", "clock": "the system's", "fs": "the system's"}.get(info.name, f"`{info.default!r}`")
        assert default == shown
        assert all(str(choice) in meaning for choice in info.value_type.choices)
        assert info.environment or f"`{info.name}`" in text.partition("\n```")[0]


def test_every_command_is_documented():
    """The page of commands has a section for each command, naming its options."""
    from bamboo_logmetrics.cli.commands import cli

    text = read("docs/reference/cli.md")
    for name in cli.list_commands(click.Context(cli)):
        command = cli.get_command(click.Context(cli), name)
        section = re.search(rf"^## bamboo-logmetrics {name}\b.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
        assert section, name
        subcommands = getattr(command, "commands", {"": command})
        for sub, each in subcommands.items():
            assert f"{sub}" in section[0]
            for option in each.params:
                if option.param_type_name == "option":
                    assert any(opt in section[0] for opt in option.opts), (name, option.opts)


def test_every_decision_has_its_parts():
    """Each decision has a number, a date, context, decision and consequences, and stands in the list."""
    index = read("docs/decisions/index.md")
    pages = sorted((ROOT / "docs/decisions").glob("0*.md"))
    for number, path in enumerate(pages, 1):
        text = path.read_text(encoding="utf-8")
        assert path.name.startswith(f"{number:04d}-")
        assert re.match(rf"# {number}\. .+\n\n\d{{4}}-\d\d-\d\d\n", text), path.name
        assert re.findall(r"^## (\w+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"], path.name
        title, date = re.match(r"# \d+\. (.+)\n\n(\S+)\n", text).groups()
        assert f"| {number} | {date} | [{title}]({path.name}) |" in index


# -- set-up and links ---------------------------------------------------------------------


def test_ci_runs_the_readmes_test_command():
    """CI takes the README's second set-up command word for word."""
    section = read("README.md").partition("## Try it, test it")[2].partition("\n## ")[0]
    first, second = blocks(section, "sh")
    assert "'.[cli,prices]'" in first
    assert "bamboo-logmetrics demo" in first
    assert second.strip().endswith(".venv/bin/tox -e py")
    assert "grep -m1 -F '.venv/bin/tox' README.md" in read(".ci/run")
    assert second.strip() == next(line for line in read("README.md").splitlines() if ".venv/bin/tox" in line)


def test_how_to_install_is_said_once():
    """One line of the README changes when a release is published: no other page says how to install the package."""
    assert read("README.md").count("\npip install '.[") == 1
    assert [name_of(path) for path in DOCS if "pip install" in path.read_text(encoding="utf-8")] == []


def slugs(path):
    """Return the anchors of a page, as GitHub makes them."""
    text = BLOCK.sub("", path.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(path):
    text = BLOCK.sub("", path.read_text(encoding="utf-8"))
    return [*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r"^\[[^\]]+\]: (\S+)$", text, re.MULTILINE)]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    """Every link to a file of the project leads to one, and to a heading that it has."""
    for link in links(page):
        target, _, anchor = link.partition("#")
        if target.startswith(f"{REPOSITORY}/blob/HEAD/"):
            path = ROOT / target.removeprefix(f"{REPOSITORY}/blob/HEAD/")
        elif target.startswith("http"):
            continue
        else:
            path = page.parent / target if target else page
        assert path.exists(), link
        assert not anchor or anchor in slugs(path), link


def test_links_of_the_readme_work_anywhere():
    """README, which is shown far from the files too, has absolute links only, all under the project's address."""
    for link in links(ROOT / "README.md"):
        assert link.startswith(REPOSITORY), link
    urls = SETUP["metadata"]["project_urls"].strip().splitlines()
    for url in urls:
        assert url.partition(" = ")[2].startswith(REPOSITORY), url
    assert {url.partition(" = ")[0] for url in urls} >= {"Documentation", "Source", "Changes"}


def test_the_site_sends_links_to_files_to_the_repository():
    """On the site a link to a file outside of docs leads to the repository, and one to the README to the first page."""
    spec = spec_from_file_location("docs_conf", ROOT / "docs/conf.py")
    conf = module_from_spec(spec)
    spec.loader.exec_module(conf)
    page = "[a](../../tests/unit/test_x.py) [b](../../README.md#install) [c](../tutorial.md) [d](cli.md#x)"
    assert conf.link_out("reference/page", page) == (
        f"[a]({REPOSITORY}/blob/HEAD/tests/unit/test_x.py) [b](/index.md#install) [c](../tutorial.md) [d](cli.md#x)"
    )
