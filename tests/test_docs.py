from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.stub_server import StubServer

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text, language):
    return [body for found, body in BLOCK.findall(text) if found == language]


def test_every_python_example_of_the_readme_runs(run_python):
    """The README's examples run in the order they stand in, each in a Python of its own, in one directory."""
    examples = blocks(README, "python")
    assert len(examples) >= 6
    outputs = []
    for example in examples:
        done = run_python(example)
        assert done.returncode == 0, f"{example}\n{done.stderr}"
        assert done.stderr == ""
        outputs.append(done.stdout)
    assert "emitted=4" in outputs[0]
    assert "gpt-5-mini 1801 2345" in outputs[1]
    assert "plain: cache warmed {'project': 'demo', 'entries': 312}" in outputs[1]
    assert '"event": "chat.session_completed"' in outputs[4]


def test_the_example_of_shipping_delivers(run_python):
    """The example in docs/reference/shipping.md delivers what it logs."""
    (example,) = blocks((ROOT / "docs/reference/shipping.md").read_text(encoding="utf-8"), "python")
    with StubServer() as stub:
        done = run_python(example.replace("http://localhost:3100", stub.url))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(seq for _, seq in stub.stored) == [1, 2, 3]


def prompt_commands():
    section = README.partition("## At the prompt")[2].partition("\n## ")[0]
    return [line for block in blocks(section, "sh") for line in block.splitlines()]


def test_every_shell_line_of_the_readme_works(tmp_path):
    """The one-liners under "At the prompt" work on the demo's files and each shows something."""
    for tool in ("jq", "zgrep"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    commands = prompt_commands()
    assert len(commands) == 9
    command = f'"{sys.executable}" -m bamboo_logmetrics'
    for line in commands:
        shell = line.replace("bamboo-logmetrics", command, 1)
        done = subprocess.run(shell, shell=True, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        assert done.stdout.strip() not in {"", "0", "null"}, line


def test_ci_runs_the_readmes_test_command():
    """CI takes the README's second set-up command word for word."""
    setup = README.partition("## Set up")[2].partition("\n## ")[0]
    first, second = blocks(setup, "sh")
    assert "'.[cli]'" in first
    assert "bamboo-logmetrics demo" in first
    assert second.strip().endswith(".venv/bin/tox")
    ci = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert "grep -m1 -F '.venv/bin/tox' README.md" in ci
    assert README.index(second.strip()) == README.index(
        next(line for line in README.splitlines() if ".venv/bin/tox" in line)
    )


def test_every_command_is_documented():
    """docs/reference/cli.md has a section for each command, naming its options."""
    from bamboo_logmetrics.cli.commands import cli

    text = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")
    for name, command in cli.commands.items():
        section = re.search(rf"^## bamboo-logmetrics {name}\b.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
        assert section, name
        subcommands = getattr(command, "commands", {"": command})
        for each in subcommands.values():
            for option in each.params:
                if option.param_type_name == "option":
                    assert any(opt in section[0] for opt in option.opts), (name, option.opts)


def test_the_tagged_examples_read_and_write():
    """The tagged examples in docs/reference/line-format.md are what the code writes, byte for byte."""
    from bamboo_logmetrics import MetricsEvent

    _, examples = blocks((ROOT / "docs/reference/line-format.md").read_text(encoding="utf-8"), "json")
    for line in examples.splitlines():
        assert MetricsEvent.from_json(line).to_json() == line


def test_the_examples_of_the_layouts_read_and_write():
    """The lines of other layouts in docs/reference/line-format.md are one and the same line, and what the code writes."""
    import msgspec

    from bamboo_logmetrics.format.layouts import LAYOUTS, flat_of
    from bamboo_logmetrics.format.strict_json import encode

    examples, _ = blocks((ROOT / "docs/reference/line-format.md").read_text(encoding="utf-8"), "json")
    ecs, otel = examples.splitlines()
    flat = flat_of(msgspec.json.decode(ecs))
    assert flat == flat_of(msgspec.json.decode(otel))
    assert [encode(LAYOUTS[layout].write(flat)).decode() for layout in ("ecs", "otel")] == [ecs, otel]


def test_links_lead_somewhere():
    """Every link to a file of the project leads to one."""
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\((?!http)([^)#]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
