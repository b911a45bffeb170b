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
from lab.prove.readers.releases import read_readers
from rilievo.cli.streams import table


def main(arguments: Sequence[str]) -> int:
    """Print the matrix; 1 if an export is not read or differs, also where nothing installs."""
    parser = argparse.ArgumentParser("python -m lab.prove.readers", description=__doc__)
    parser.add_argument("readers", nargs="*", help="some of readers.toml; all by default")
    parser.add_argument(
        "--environments",
        type=Path,
        metavar="DIR",
        help="folder for environments, which are kept; a temporary one by default",
    )
    parser.add_argument(
        "--latest", action="store_true", help="the newest release of the index, not of the table"
    )
    options = parser.parse_args(arguments)
    readers = {reader.name: reader for reader in read_readers()}
    unknown = [name for name in options.readers if name not in readers]
    if unknown:
        parser.error(f"no reader {', '.join(unknown)}; known: {', '.join(readers)}")
    chosen = [readers[name] for name in options.readers or readers]
    kinds = {kind for reader in chosen for kind in reader.kinds}
    assert kinds <= KINDS.keys(), "the table names kinds of exports"
    with tempfile.TemporaryDirectory() as place:
        environments = options.environments or Path(place, "environments")
        environments.mkdir(parents=True, exist_ok=True)
        exports = write_exports(Path(place, "exports"), kinds)
        rows = []
        for reader in chosen:
            print(f"reading by {reader.name}", file=sys.stderr, flush=True)
            rows += rows_of(reader, exports, environments.resolve(), latest=options.latest)
    _print_matrix(rows)
    return 1 if any(row.is_red for row in rows) else 0


def _print_matrix(rows: Sequence[Row]) -> None:
    head = ["export", "reader", "oldest", "newest", "apart", "from rilievo", "allowed", ""]
    print(table(head, [_cells(row) for row in rows]))
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
