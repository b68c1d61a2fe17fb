"""An evaluator of the part of LogQL that the dashboard uses, over entries in memory.

Log queries are a selector with line filters, ``json``, label filters and ``unwrap``; metric queries are a few functions
over a range, aggregations, and arithmetic. Everything else is a SyntaxError. Each query is evaluated at one moment.
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

_TOKEN = re.compile(
    r"\s*(?:(?P<text>`[^`]*`|\"(?:[^\"\\]|\\.)*\")|(?P<range>\[\d+[smhdw]\])|(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign>\|=|!=|=~|!~|>=|<=|==|[|{}()=,><+*/-]))"
)
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}

Labels = frozenset  # of pairs of name and value; a label without a value is none
Vector = dict  # from Labels to number


class Row(NamedTuple):
    """One entry: the labels of its stream, its time in ns, the line, and its structured metadata."""

    labels: dict
    time_ns: int
    line: str
    metadata: dict


@dataclass
class _Line:
    labels: dict
    line: str
    value: float | None = None


@dataclass
class LogRange:
    """A log query: which entries, and what is done with each."""

    matches: list[Callable[[dict], bool]]
    stages: list[Callable[[_Line], bool]] = field(default_factory=list)
    unwrapped: str = ""

    def select(self, rows: Iterable[Row], after_ns: float, until_ns: float) -> list[_Line]:
        """Return the lines in a range of time, with all their labels."""
        found = []
        for row in rows:
            if not after_ns < row.time_ns <= until_ns or not all(match(row.labels) for match in self.matches):
                continue
            line = _Line({**row.labels, **row.metadata}, row.line)
            if all(stage(line) for stage in self.stages):
                found.append(line)
        return found


def evaluate(query: str, rows: Iterable[Row], *, at_ns: int) -> Vector | float:
    """Return the result of a metric query at a moment. Raises SyntaxError."""
    parser = _Parser(query)
    expression = parser.binary()
    parser.expect("")
    return expression(list(rows), at_ns)


def select(query: str, rows: Iterable[Row]) -> list[Row]:
    """Return the entries of a log query. Raises SyntaxError."""
    parser = _Parser(query)
    log = parser.log()
    parser.expect("")
    return [row for row in rows if log.select([row], -math.inf, math.inf)]


_LEVELS = (("or",), (">", "<", ">=", "<="), ("+", "-"), ("*", "/"))
_OPERATORS = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
    ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le,
}  # fmt: skip
_AGGREGATIONS = {"sum": sum, "max": max, "min": min, "count": len}


def _quantile(q: float, values: list[float]) -> float:
    values = sorted(values)
    rank = q * (len(values) - 1)
    low = math.floor(rank)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (rank - low)


_RANGES: dict[str, Callable[[list[_Line], float, float | None], float]] = {
    "count_over_time": lambda lines, _seconds, _q: len(lines),
    "sum_over_time": lambda lines, _seconds, _q: sum(line.value for line in lines),
    "max_over_time": lambda lines, _seconds, _q: max(line.value for line in lines),
    "rate": lambda lines, seconds, _q: sum(1 if line.value is None else line.value for line in lines) / seconds,
    "quantile_over_time": lambda lines, _seconds, q: _quantile(q, [line.value for line in lines]),
}


class _Parser:
    def __init__(self, text):
        self.tokens, at = [], 0
        while text[at:].strip():
            match = _TOKEN.match(text, at)
            if match is None:
                raise SyntaxError(text[at:])
            self.tokens.append((match.lastgroup, match[match.lastgroup]))
            at = match.end()
        self.tokens.append(("end", ""))

    def peek(self):
        return self.tokens[0][1]

    def take(self, kind=None):
        found, text = self.tokens.pop(0)
        if kind not in (None, found):
            raise SyntaxError(f"{text!r} where a {kind} belongs")
        return text

    def expect(self, text):
        if (found := self.take()) != text:
            raise SyntaxError(f"{found!r} where {text!r} belongs")

    def accept(self, text):
        if self.peek() == text:
            self.tokens.pop(0)
            return True
        return False

    def text(self):
        quoted = self.take("text")
        return quoted[1:-1] if quoted[0] == "`" else json.loads(quoted)

    # -- metric queries ----------------------------------------------------------------------

    def binary(self, level=0):
        if level == len(_LEVELS):
            return self.operand()
        left = self.binary(level + 1)
        while self.peek() in _LEVELS[level]:
            left = _combine(self.take(), left, self.binary(level + 1))
        return left

    def operand(self):
        if self.accept("("):
            inner = self.binary()
            self.expect(")")
            return inner
        if self.tokens[0][0] == "number":
            number = float(self.take())
            return lambda _rows, _at: number
        name = self.take("name")
        if name in _RANGES:
            return self.over_range(name)
        if name in _AGGREGATIONS or name == "topk":
            return self.aggregation(name)
        raise SyntaxError(name)

    def by(self):
        """Return the labels of a grouping, or None where there is none."""
        if not self.accept("by"):
            return None
        self.expect("(")
        names = []
        while not self.accept(")"):
            names.append(self.take("name"))
            self.accept(",")
        return names

    def over_range(self, name):
        function, q = _RANGES[name], None
        self.expect("(")
        if name == "quantile_over_time":
            q = float(self.take("number"))
            self.expect(",")
        log = self.log()
        text = self.take("range")
        seconds = int(text[1:-2]) * _SECONDS[text[-2]]
        self.expect(")")
        by = self.by()

        def result(rows, at_ns):
            groups = defaultdict(list)
            for line in log.select(rows, at_ns - seconds * 10**9, at_ns):
                labels = {name: text for name, text in line.labels.items() if text and name != log.unwrapped}
                groups[_grouped(labels.items(), by)].append(line)
            return {labels: function(lines, seconds, q) for labels, lines in groups.items()}

        return result

    def aggregation(self, name):
        by, most = self.by(), None
        self.expect("(")
        if name == "topk":
            most = int(self.take("number"))
            self.expect(",")
        inner = self.binary()
        self.expect(")")
        by = by or self.by() or []

        def result(rows, at_ns):
            vector = inner(rows, at_ns)
            if most is not None:
                return dict(sorted(vector.items(), key=lambda pair: -pair[1])[:most])
            groups = defaultdict(list)
            for labels, value in vector.items():
                groups[_grouped(labels, by)].append(value)
            return {labels: _AGGREGATIONS[name](values) for labels, values in groups.items()}

        return result

    # -- log queries -------------------------------------------------------------------------

    def log(self):
        self.expect("{")
        matches = []
        while not self.accept("}"):
            matches.append(_matcher(self.take("name"), self.take("sign"), self.text()))
            self.accept(",")
        log = LogRange(matches)
        while self.peek() in ("|=", "|"):
            if self.take() == "|=":
                part = self.text()
                log.stages.append(lambda line, part=part: part in line.line)
            else:
                self.stage(log)
        return log

    def stage(self, log):
        name = self.take("name")
        if name == "json":
            wanted = {}
            while self.tokens[0][0] == "name":
                label = self.take()
                self.expect("=")
                wanted[label] = self.text()
                self.accept(",")
            log.stages.append(lambda line: _extract(line, wanted))
        elif name == "unwrap":
            log.unwrapped = self.take("name")
            log.stages.append(lambda line: _unwrap(line, log.unwrapped))
        else:
            match = _matcher(name, self.take("sign"), self.text())
            log.stages.append(lambda line: match(line.labels))


def _matcher(name, sign, text):
    """Return a test of labels; as in Loki, a regular expression must match the whole value."""
    tests = {
        "=": lambda value: value == text,
        "!=": lambda value: value != text,
        "=~": lambda value: re.fullmatch(text, value) is not None,
        "!~": lambda value: re.fullmatch(text, value) is None,
    }
    test = tests[sign]
    return lambda labels: test(labels.get(name, ""))


def _extract(line, wanted):
    """Make fields of the line's object labels; one that is missing has no value."""
    try:
        record = json.loads(line.line)
    except ValueError:
        line.labels["__error__"] = "JSONParserErr"
        return True
    for label, key in wanted.items():
        value = record.get(key)
        line.labels[label] = "" if value is None else value if isinstance(value, str) else json.dumps(value)
    return True


def _unwrap(line, label):
    """Make a label's number the line's value; leave out a line without the label."""
    text = line.labels.get(label, "")
    try:
        line.value = float(text)
    except ValueError:
        line.labels["__error__"] = "SampleExtractionErr"
    return bool(text)


def _grouped(labels, by):
    return Labels(pair for pair in labels if by is None or pair[0] in by)


def _combine(sign, left, right):
    def result(rows, at_ns):
        a, b = left(rows, at_ns), right(rows, at_ns)
        if sign == "or":
            return {**b, **a}
        if not isinstance(a, dict):
            raise SyntaxError("a number on the left")
        others = b if isinstance(b, dict) else dict.fromkeys(a, b)
        pairs = {labels: (value, others[labels]) for labels, value in a.items() if labels in others}
        if sign in _LEVELS[1]:
            return {labels: value for labels, (value, other) in pairs.items() if _OPERATORS[sign](value, other)}
        return {labels: _OPERATORS[sign](*pair) for labels, pair in pairs.items()}

    return result
