"""Plain-text tables for the terminal."""

from collections.abc import Iterator, Sequence

_LISTED = 5
"""Faults of one sort that are printed."""


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format columns as wide as their widest cell, with a rule under the header."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def fault_lines(images: Sequence[str], predictions: Sequence[str]) -> Iterator[str]:
    """Lines about the images and the predictions that cannot be shown, the first few of each."""
    for what, lines in (
        ("images that cannot be shown", images),
        ("predictions that cannot be shown", predictions),
    ):
        if lines:
            yield f"{len(lines)} {what}:"
            yield from (f"  {line}" for line in lines[:_LISTED])
        if len(lines) > _LISTED:
            yield f"  ... and {len(lines) - _LISTED} more"


def amount(count: int, noun: str) -> str:
    """A number of things: 1 run, 2 runs."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
