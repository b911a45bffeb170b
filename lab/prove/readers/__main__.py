"""``python -m lab.prove.readers``: open every export with the oldest and the newest of its readers.

It writes exports from small networks and a shipped photograph, makes an environment for each
release, lets it read them, and compares the releases with each other and with rilievo.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lab.prove.readers.exports import KINDS, write_exports
from lab.prove.readers.matrix import Row, rows_of
from lab.prove.readers.releases import Reader, read_readers
from rilievo.cli.streams import format_table


def main(arguments: Sequence[str]) -> int:
    """Print a table of all exports and readers; return 1 if an export is not read, or differs."""
    parser = _parser()
    options = parser.parse_args(arguments)
    readers = _named_readers(parser, options.readers)
    kinds = {kind for reader in readers for kind in reader.kinds}
    with tempfile.TemporaryDirectory() as temporary:
        environments = options.environments or Path(temporary, "environments")
        environments.mkdir(parents=True, exist_ok=True)
        exports = write_exports(Path(temporary, "exports"), kinds)
        rows = []
        for reader in readers:
            print(f"reading by {reader.name}", file=sys.stderr, flush=True)
            rows += rows_of(reader, exports, environments.resolve(), latest=options.latest)
    _print_matrix(rows)
    return 1 if any(row.is_red for row in rows) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m lab.prove.readers", description=__doc__)
    parser.add_argument(
        "readers", nargs="*", help="names of readers in readers.toml; all by default"
    )
    parser.add_argument(
        "--environments",
        type=Path,
        metavar="DIR",
        help="keep the environments in this folder, instead of a temporary one",
    )
    parser.add_argument(
        "--latest",
        action="store_true",
        help="install the newest release that can be downloaded, instead of the table's",
    )
    return parser


def _named_readers(parser: argparse.ArgumentParser, names: Sequence[str]) -> list[Reader]:
    """Readers of the table by their names, all without names; exits at a name that is unknown."""
    by_name = {reader.name: reader for reader in read_readers()}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        parser.error(f"no reader {', '.join(unknown)}; known: {', '.join(by_name)}")
    readers = [by_name[name] for name in names or by_name]
    assert {kind for reader in readers for kind in reader.kinds} <= KINDS.keys(), "kinds of exports"
    return readers


def _print_matrix(rows: Sequence[Row]) -> None:
    head = ["export", "reader", "oldest", "newest", "apart", "from rilievo", "allowed", ""]
    print(format_table(head, [_cells(row) for row in rows]))
    red = [row for row in rows if row.is_red]
    for row in red:
        print(f"{row.export}, {row.reader}: {row.fault}")
    print(f"\n{len(rows)} exports read, {len(red)} red")


def _cells(row: Row) -> tuple[str, ...]:
    numbers = (f"{row.between:.1e}", f"{row.from_rilievo:.1e}", f"{row.allowed:.1e}")
    return (
        *(row.export, row.reader, row.oldest, row.newest),
        *numbers,
        "RED" if row.is_red else "agrees",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
