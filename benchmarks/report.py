"""Tables, on the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.fresh import Answer

PIPED_WIDTH = 160  # columns, where nobody's terminal says how many


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts.

    Args:
        title: what it shows.
        columns: its head; units stand here.
        rows: one text for each column.
        notes: sentences under it.
        texts: how many columns hold texts, from the left; the others hold numbers.
    """

    title: str
    columns: Sequence[str]
    rows: list[list[str]]
    notes: list[str] = field(default_factory=list)
    texts: int = 1

    def show(self) -> None:
        """Print the table to stdout."""
        table = RichTable(title=self.title, title_justify="left")
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="left" if number < self.texts else "right")
        for row in self.rows:
            table.add_row(*row)
        console = Console()
        if not console.is_terminal:
            console.width = PIPED_WIDTH
        console.print(table)
        for note in self.notes:
            console.print(note, markup=False)

    def markdown(self) -> str:
        """Return the table and its notes as Markdown."""
        rule = ["---"] * self.texts + ["---:"] * (len(self.columns) - self.texts)
        lines = ["| " + " | ".join(cells) + " |" for cells in [list(self.columns), rule, *self.rows]]
        return "\n\n".join(["\n".join(lines), *self.notes]) + "\n"


def number(value: float) -> str:
    """Return a number with three figures that count, and thousands apart: 0.214, 7.12, 36.1, 125,000."""
    if abs(value) >= 1000:  # noqa: PLR2004
        return f"{value:,.0f}"
    return f"{value:.3g}"


def losses(name: str, answer: Answer) -> str | None:
    """Return a sentence about lines that are not there or do not parse; None when all is well."""
    check = answer.get("check", {})
    if not check or (not check["lost"] and not check["broken"]):
        return None
    return f"{name}: {check['lost']:,} of {check['expected']:,} lines are not there, {check['broken']:,} do not parse."


def all_losses(answers: dict[str, Answer]) -> list[str]:
    """Return a sentence for each run that lost lines, or one that none did."""
    messages = [said for name, answer in answers.items() if (said := losses(name, answer))]
    return messages or ["Every file was read: all lines are there, all parse."]
