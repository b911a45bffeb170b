"""Figures and faults of a part of the campaign."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Results of one part.

    Attributes:
        table: Table in Markdown, without a last line end.
        bad: Faults, a text each.
        untried: Readers, jobs and troubles that had no try, which makes the campaign fail.
    """

    table: str
    bad: tuple[str, ...] = ()
    untried: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether everything was tried, and nothing was at fault."""
        return not self.bad and not self.untried

    def show(self) -> None:
        """Print them, with one line of all that had no try."""
        print(self.table)
        for fault in self.bad:
            print(f"BAD {fault}")
        if self.untried:
            print(f"not tried: {'; '.join(self.untried)}: give more --minutes or larger numbers")
        print(end="", flush=True)


def table_of(header: Sequence[str], rows: Sequence[Sequence[object]], words: int = 1) -> str:
    """Table in Markdown; numbers have separators, and stand right of the first columns of words."""
    ruler = ["---" if column < words else "---:" for column in range(len(header))]
    lines = [header, ruler, *([_cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
