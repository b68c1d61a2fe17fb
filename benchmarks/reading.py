"""``summary`` beside bare DuckDB and jq, over plain and compressed files."""

from __future__ import annotations

from benchmarks.fresh import Answer
from benchmarks.jobs.reading import summary_beside
from benchmarks.report import Table, number
from benchmarks.rounds import interleaved, task
from benchmarks.sizes import Sizes

FORMS = {"plain": None, "gzip": "gzip"}
COLUMNS = ("", "files", "summary, s", "DuckDB, s", "2 x DuckDB + 0.5 s", "jq, s", "jq / summary", "summary, MB")
_BESIDE = (
    "DuckDB runs one statement that reads the columns that summary reads, with its measures and groups; it neither "
    "counts each call once nor prices it, and says nothing of what is missing. jq extracts the same columns."
)


def measure(sizes: Sizes) -> dict[str, Answer]:
    """Return the answers for each form of the files."""
    tasks = {
        form: task(summary_beside, events=sizes.lines, compress=compress, rounds=sizes.rounds)
        for form, compress in FORMS.items()
    }
    return interleaved("reading", tasks, 1)


def table(answers: dict[str, Answer]) -> Table:
    """Return a row for each form of the files."""
    rows = [[form, *map(str, _row(answers[form]))] for form in FORMS if form in answers]
    sizes = " and ".join(f"{number(answer['size'] / 1e6)} MB {form}" for form, answer in answers.items())
    events = max((answer["events"] for answer in answers.values()), default=0)
    notes = [
        f"{events:,} events of an agent's sessions, {sizes}, from the page cache.",
        _BESIDE,
    ]
    return Table("Summing up", COLUMNS, rows, notes)


def _row(answer: Answer) -> list[str]:
    seconds = answer["seconds"]
    jq = "jq" in seconds
    return [
        str(answer["files"]),
        *(number(seconds[name]) for name in ("summary", "duckdb")),
        number(2 * seconds["duckdb"] + 0.5),
        number(seconds["jq"]) if jq else "",
        f"{number(seconds['jq'] / seconds['summary'])}x" if jq else "",
        number(answer["mb"]["summary"]),
    ]
