from __future__ import annotations

import fnmatch
import json
import re
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml
from support import ROOT
from support.tools import tool

import bamboo_logmetrics as blm
from bamboo_logmetrics import integrations
from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.format.layouts import LAYOUTS
from bamboo_logmetrics.format.layouts.mapping import ROWS
from bamboo_logmetrics.integrations.otel_collector.statements import statements as collector_statements
from bamboo_logmetrics.logfiles.archive import Archive
from bamboo_logmetrics.logfiles.discovery import service_of
from bamboo_logmetrics.logfiles.names import log_of
from bamboo_logmetrics.system import FS

PACKAGE = Path(integrations.__file__).parent
URL = "http://localhost:3100"
LOKI = ("alloy", "fluent-bit", "vector")
YAML = ("filebeat", "fluent-bit", "vector", "otel-collector")
METADATA = ["event_id", "trace_id", "session_id", "round_id", "tool_call_id", "request_id", "writer", "seq"]
LABELS = ["service_name", "env", "family", "level"]
WRITER = "0123456789abcdef0123"


def render(target, path="/logs/agent.jsonl", url=URL, **options):
    return integrations.render(target, path=path, url=url, **options)


def paths_of(target, text):
    """Return the patterns of files that a configuration names, as the log shipper would read them."""
    if target == "filebeat":
        return yaml.safe_load(text)["filebeat.inputs"][0]["paths"]
    if target == "fluent-bit":
        return [yaml.safe_load(text)["pipeline"]["inputs"][0]["path"]]
    if target == "vector":
        return yaml.safe_load(text)["sources"]["bamboo_files"]["include"]
    if target == "otel-collector":
        include = yaml.safe_load(text)["receivers"]["file_log"]["include"]
        return [path.replace("$$", "$") for path in include]
    if target == "alloy":
        return [json.loads(re.search(r'__path__ = (".*") }', text)[1])]
    found = re.search(r"path => \[(.*)\]\n", text)[1]
    return [double or single for double, single in re.findall(r'"([^"]*)"|\'([^\']*)\'', found)]


# -- all of them -------------------------------------------------------------------------


@pytest.mark.parametrize("target", integrations.TARGETS)
def test_every_place_is_filled(target):
    """A configuration has no place of its template left, and says by which command it was made."""
    text = render(target, env="production", command="bamboo-logmetrics config it")
    assert not re.search(r"<<\w+>>", text)
    assert "Made by: bamboo-logmetrics config it" in text
    assert text.endswith("\n")


@pytest.mark.parametrize("target", YAML)
def test_yaml_is_yaml(target):
    """A file that is YAML by its name is a YAML mapping."""
    assert isinstance(yaml.safe_load(render(target)), dict)


@pytest.mark.parametrize("target", integrations.TARGETS)
@pytest.mark.parametrize(
    "name", ["agent.jsonl", "with space.jsonl", "ünï# : 'x.jsonl", 'quo"te.jsonl', "- @%!&|>.jsonl"]
)
def test_odd_paths_come_out_right(target, name):
    """A path with spaces, quotes and signs is, to the log shipper, that path."""
    assert paths_of(target, render(target, path=f"/a b/{name}", service="s"))[0] == f"/a b/{name}"


@pytest.mark.parametrize("target", ["alloy", "otel-collector"])
def test_a_dollar_is_only_a_dollar(target):
    """Where the log shipper has a way to write a dollar sign, a path with one is that path."""
    assert paths_of(target, render(target, path="/a/$HOME/x$$y.jsonl", service="s"))[0] == "/a/$HOME/x$$y.jsonl"


@pytest.mark.parametrize("target", integrations.TARGETS)
@pytest.mark.parametrize(
    "path", ["/a/*.jsonl", "/a/b?", "/a/[b]", "/a/{b}", "/a/b\\c", "/a/${B}", "/a/b\nc", "/a/\x1bc"]
)
def test_a_path_that_means_more_is_refused(target, path):
    """A path that the log shipper would read as a pattern, a variable or more lines is refused, with the remedy."""
    with pytest.raises(ConfigError, match="another name"):
        render(target, path=path)


@pytest.mark.parametrize("target", ["filebeat", "logstash", "fluent-bit", "vector"])
def test_a_dollar_is_refused(target):
    """Where a log shipper may read a dollar sign as a variable, a path with one is refused."""
    with pytest.raises(ConfigError, match=r"contains '\$', which"):
        render(target, path="/a/$b.jsonl")


def test_what_single_shippers_cannot_read():
    """A comma in Fluent Bit's path, and both kinds of quotes in Logstash's, are refused."""
    with pytest.raises(ConfigError, match="fluent-bit"):
        render("fluent-bit", path="/a/b,c.jsonl")
    with pytest.raises(ConfigError, match="both kinds of quotes"):
        render("logstash", path="/a/b'\".jsonl", service="s")


@pytest.mark.parametrize("option", ["service", "env"])
@pytest.mark.parametrize("name", ['a"b', "a`b", "a$b", "{{ a }}", "a\\b", "a\nb"])
def test_a_name_that_means_more_is_refused(option, name):
    """A service or environment with signs of some syntax is refused."""
    with pytest.raises(ConfigError, match=f"--{option}"):
        render("alloy", **{option: name})


def test_the_logs_name_is_the_service():
    """The service is by default the log's name without its extension, and that must be a name too."""
    assert service_of("/logs/my-agent.jsonl") == "my-agent"
    assert 'service_name = "my-agent" }' in render("alloy", path="/logs/my-agent.jsonl")
    with pytest.raises(ConfigError, match="give a --service"):
        render("alloy", path='/logs/a"b.jsonl')


def test_a_relative_path_is_made_absolute(tmp_path, monkeypatch):
    """Log shippers get absolute paths."""
    monkeypatch.chdir(tmp_path)
    assert paths_of("alloy", render("alloy", path="agent.jsonl")) == [str(Path.cwd() / "agent.jsonl")]


def test_there_is_no_other_target():
    """A log shipper that is not known is named, with those that are."""
    with pytest.raises(ConfigError, match="'fluentd'; there are: filebeat, logstash"):
        render("fluentd")


# -- where it goes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("localhost:3100", "such as http"),
        ("ftp://x", "such as http"),
        ("http://", "such as http"),
        ("http://x:y", "is not a URL"),
        ("http://me:secret@x", "must not hold"),
        ("http://x/?a=1", "more than"),
        ("http://x/${A}", "more than"),
        ("http://x/a b", "more than"),
    ],
)
def test_a_url_that_is_refused(url, text):
    """A URL that is none, or holds a secret or a variable, is refused."""
    with pytest.raises(ConfigError, match=text):
        render("alloy", url=url)


@pytest.mark.parametrize(
    "url",
    [
        "htps://bob:hunter2secret@es:9200",
        "http://bob:hunter2secret@es:9200",
        "http://es:hunter2secret@es:9200:port",
        "http://es:9200?api_key=hunter2secret",
        "http://es:9200/a b?api_key=hunter2secret",
        "http://[hunter2secret@es",
    ],
)
def test_a_url_that_is_refused_is_shown_without_secrets(url):
    """A part of a URL that may be a secret is in no error."""
    with pytest.raises(ConfigError) as caught:
        render("alloy", url=url)
    assert "hunter2secret" not in str(caught.value)


@pytest.mark.parametrize("url", [URL, f"{URL}/", f"{URL}/loki/api/v1/push"])
def test_lokis_path_is_appended_once(url):
    """Loki's URL may be given with and without the path of its push interface."""
    push = f"{URL}/loki/api/v1/push"
    assert f'"{push}"' in render("alloy", url=url)
    assert yaml.safe_load(render("vector", url=url))["sinks"]["bamboo_loki"]["uri"] == push
    output = yaml.safe_load(render("fluent-bit", url=url))["pipeline"]["outputs"][0]
    assert (output["host"], output["port"], output["uri"], output["tls"]) == (
        "localhost",
        3100,
        "/loki/api/v1/push",
        False,
    )


def test_https_and_a_path_before():
    """A server behind TLS and a path is written as such."""
    output = yaml.safe_load(render("fluent-bit", url="https://x.example/loki1"))["pipeline"]["outputs"][0]
    assert (output["port"], output["uri"], output["tls"]) == (443, "/loki1/loki/api/v1/push", True)


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("http://es:9200", "http://es:9200"),
        ("https://es.example/a/", "https://es.example:443/a"),
        ("http://[::1]", "http://[::1]:80"),
    ],
)
def test_elasticsearch_has_a_port(url, written):
    """Filebeat and Logstash get the port, because they take 9200 for a URL without one."""
    assert yaml.safe_load(render("filebeat", url=url))["output.elasticsearch"]["hosts"] == [written]
    assert f'hosts => ["{written}"]' in render("logstash", url=url)


def test_otlps_path_is_the_exporters():
    """The collector's exporter appends /v1/logs itself."""
    for url in ("http://x:4318", "http://x:4318/v1/logs"):
        assert (
            yaml.safe_load(render("otel-collector", url=url))["exporters"]["otlp_http"]["endpoint"] == "http://x:4318"
        )


def test_where_shippers_keep_their_state():
    """The state of a log shipper is beside the log, in places that exist or are created, or where --state says."""
    vector, collector = (yaml.safe_load(render(target)) for target in ("vector", "otel-collector"))
    assert vector["data_dir"] == "/logs"
    assert collector["extensions"]["file_storage"]["directory"] == "/logs/.agent.jsonl.otel-collector"
    fluent_bit = yaml.safe_load(render("fluent-bit"))
    assert fluent_bit["service"]["storage.path"] == "/logs/.agent.jsonl.fluent-bit"
    assert fluent_bit["pipeline"]["inputs"][0]["db"] == "/logs/.agent.jsonl.fluent-bit.db"
    assert yaml.safe_load(render("vector", state="/var/x"))["data_dir"] == "/var/x"
    assert (
        yaml.safe_load(render("fluent-bit", state="/var/x"))["pipeline"]["inputs"][0]["db"] == "/var/x/agent.jsonl.db"
    )


# -- which files -------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["filebeat", "logstash", "vector", "otel-collector"])
def test_the_patterns_match_the_files_of_the_log(target, tmp_path):
    """The patterns match the log and its plain rotated files, once each, and no hidden or other ones."""
    path = str(tmp_path / "agent.jsonl")
    rotated = Archive(path, fs=FS()).new_path(1_700_000_000_000_000_000, WRITER)
    assert log_of(Path(rotated).name) == "agent.jsonl"
    others = [
        f"{rotated}.zst",
        f"{tmp_path}/.{Path(rotated).name}.gz.tmp",
        f"{path}.bak",
        f"{path}l",
        f"{tmp_path}/.agent.jsonl.lock",
    ]
    patterns = paths_of(target, render(target, path=path))
    gzipped = int(target == "otel-collector")  # it knows a file again when it is compressed
    for file, times in [(path, 1), (rotated, 1), (f"{rotated}.gz", gzipped), *((other, 0) for other in others)]:
        assert sum(fnmatch.fnmatchcase(file, pattern) for pattern in patterns) == times, file


@pytest.mark.parametrize("target", ["alloy", "fluent-bit"])
def test_shippers_that_know_files_by_path_get_one(target):
    """Log shippers that would read a renamed file again are given the active file only."""
    assert paths_of(target, render(target)) == ["/logs/agent.jsonl"]


def test_what_is_written_while_it_rotates_is_matched(tmp_path):
    """The names that a rotating log really makes are matched."""
    with blm.open_log(tmp_path / "agent.jsonl", max_bytes=2_000, compress="gzip") as log:
        for number in range(40):
            log.emit(tool(number))
            log.flush()
    patterns = paths_of("vector", render("vector", path=str(tmp_path / "agent.jsonl")))
    names = [str(path) for path in tmp_path.iterdir() if not path.name.startswith(".")]
    plain = [name for name in names if not name.endswith(".gz")]
    assert len(names) > len(plain) > 1
    assert sorted(name for name in names if any(fnmatch.fnmatchcase(name, each) for each in patterns)) == sorted(plain)


# -- labels, metadata, ids ---------------------------------------------------------------


def test_labels_and_metadata_are_the_same_everywhere():
    """The three log shippers for Loki set the same labels and the same structured metadata, and no others."""
    alloy = render("alloy", env="e")
    block = re.search(r"stage.structured_metadata {\n    values = {\n(.*?)    }\n", alloy, re.DOTALL)[1]
    assert re.findall(r"(\w+) +=", block) == METADATA
    assert re.findall(r"(\w+) = ", re.search(r"stage.labels {\n    values = { (.*?) }", alloy)[1]) == LABELS
    vrl = re.search(r"found = {\n(.*?)\n *}\n", render("vector"), re.DOTALL)[1]
    assert re.findall(r'^ *"(\w+)":', vrl, re.MULTILINE) == METADATA
    stream = re.search(r"stream = {\n(.*?)\n *}\n", render("vector"), re.DOTALL)[1]
    assert re.findall(r'^ *"(\w+)":', stream, re.MULTILINE) == LABELS
    lua = re.search(r"local values = {\n(.*?)\n *}\n", render("fluent-bit"), re.DOTALL)[1]
    assert re.findall(r"^ *(\w+) = ", lua, re.MULTILINE) == METADATA
    output = yaml.safe_load(render("fluent-bit"))["pipeline"]["outputs"][0]
    assert output["labels"] == ", ".join(f"{name}=${name}" for name in LABELS)


@pytest.mark.parametrize("target", LOKI)
def test_service_and_environment_are_told(target):
    """A service and an environment stand in the configuration as texts."""
    text = render(target, service="my service", env="production/eu")
    assert '"my service"' in text
    assert '"production/eu"' in text


def test_no_environment_is_no_label():
    """Without an environment there is no label for it, as of lines that are shipped."""
    assert 'static_labels {\n    values = { service_name = "agent" }' in render("alloy")
    assert yaml.safe_load(render("otel-collector"))["receivers"]["file_log"]["resource"] == {"service.name": "agent"}
    resource = yaml.safe_load(render("otel-collector", env="e"))["receivers"]["file_log"]["resource"]
    assert resource == {"service.name": "agent", "deployment.environment.name": "e"}
    assert "environment" not in str(yaml.safe_load(render("filebeat"))["processors"])
    assert '"[service][name]" => "agent" "[service][environment]" => "e"' in render("logstash", env="e")


def test_nothing_of_vectors_is_a_variable():
    """Vector's file has no dollar sign, which versions before 0.57 read as a variable, in comments too."""
    assert "$" not in render("vector", env="e")


@pytest.fixture
def lines(tmp_path):
    """Give some lines of each layout, each with its id and time."""
    with blm.open_log(tmp_path / "a.jsonl") as log:
        log.emit(blm.SessionStarted(session_id='"writer":"x","seq":1', model="m"))
        log.info('"writer":"fedcba9876543210fedc","seq":9', a={"timestamp": "x"})
    flats = [json.loads(line) for line in (tmp_path / "a.jsonl").read_bytes().splitlines()]
    return [
        (
            json.dumps(layout.write(flat), separators=(",", ":"), ensure_ascii=False),
            f"{flat['writer']}-{flat['seq']}",
            flat["timestamp"],
        )
        for flat in flats
        for layout in LAYOUTS.values()
    ]


def test_filebeat_finds_id_and_time(lines):
    """The patterns of Filebeat's script find the id and the time of lines of every layout, whatever their texts say."""
    script = yaml.safe_load(render("filebeat"))["processors"][0]["script"]["source"]
    patterns = dict(re.findall(r"var (\w+) = /(.*)/;", script))
    for line, uid, timestamp in lines:
        found = re.search(patterns["ids"], line)
        assert ("-".join(found.groups()) if found else re.search(patterns["uid"], line)[1]) == uid
        time = re.search(patterns["time"], line)
        assert time[1] == timestamp if time else re.search(patterns["nanoseconds"], line)[1].isdigit()


def test_logstash_finds_id_and_time(lines):
    """The patterns of Logstash's grok find the id and the time of lines of every layout."""
    text = render("logstash")
    definitions = dict(re.findall(r'"(BAMBOO_\w+)" => "(.*)"', text))
    patterns = [
        re.sub(r"%{(\w+):\[@metadata\]\[(\w+)\]}", lambda found: f"(?P<{found[2]}>{definitions[found[1]]})", pattern)
        for pattern in re.findall(r"^ +'(\^.*?)',?$", text, re.MULTILINE)
    ]
    assert len(patterns) == 2
    for line, uid, timestamp in lines:
        found = next(filter(None, (re.search(pattern, line) for pattern in patterns)))
        assert f"{found['writer']}-{found['seq']}" == uid
        assert found.groupdict().get("time", timestamp) == timestamp
    assert not any(re.search(pattern, '{"a":1}') for pattern in patterns)


def test_the_collector_moves_every_key_of_the_table():
    """Each native key of the layouts' table is moved to its attribute, where its value is of its type."""
    statements = list(collector_statements())
    for row in ROWS:
        assert any(
            text.startswith(f'set(log.attributes["{row.otel}"], log.cache["{row.key}"]) where Is')
            for text in statements
        ), row
        assert any(text.startswith(f'delete_key(log.cache, "{row.key}") where Is') for text in statements), row
    rendered = yaml.safe_load(render("otel-collector"))["processors"]["transform"]["log_statements"][0]["statements"]
    assert [text for text in rendered if text in statements] == statements


# -- the package -------------------------------------------------------------------------


def test_every_template_is_in_the_package():
    """Each file beside the modules is package data."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    patterns = setup["options.package_data"]["bamboo_logmetrics.integrations"].replace(" ", "").split(",")
    templates = [path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"}]
    assert len(templates) >= 14
    for path in templates:
        assert any(path.relative_to(PACKAGE).match(pattern) for pattern in patterns), path.name
