"""Pairs of depth pictures whose sides are shuffled, for readers who do not know which is which.

``python lab/studies/judge_blind.py sheets OLD.onnx NEW.onnx LIST OUT --key KEY.json`` writes a
folder for each reader: sheets (photograph, left, right), in an order and with sides of its own, and
``ratings.csv`` to fill in. LIST has a photograph a line, below the folder of data, or
``skimage/NAME``. Depth pictures are drawn alike, so nothing but depth differs. Readers never get
the key.

``python lab/studies/judge_blind.py tally KEY.json RATINGS.csv...`` counts preferences, classes and
faults, and prints the rows of single photographs. ``--tsv`` writes the table of all ratings.

Ratings: ``left`` and ``right`` are good, usable or bad; ``prefers`` is left, right or even;
``how`` is clearly or slightly; faults are words of ``FAULTS`` with spaces between them; ``why`` is
free.
"""

import argparse
import csv
import json
import os
import secrets
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import skimage.data
from jaxtyping import UInt8
from picture_grid import grid, in_colour, of_height
from PIL import Image, ImageDraw

import rilievo
from rilievo.errors import InputError, OptionError, RilievoError
from rilievo.io.map_pictures import colourise
from rilievo.io.photographs.photo import read_photo
from rilievo.models import load_model
from rilievo.models.base import Model

FAULTS = ("halo", "fray", "facets", "horns", "combs", "step", "shadow")
"""Faults that are counted: a melted outline, a ragged one, planes in a body, spikes, rows of them,
an invented step, a shadow that is a body."""
CLASSES = ("good", "usable", "bad")
_SIDES = ("left", "right")
_AREA, _ROWS, _LABEL = 400 * 300, 3, 22
"""Pixels of a picture, pairs a sheet, and height of a label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """One reader's words on a pair; sides are those of the sheet."""

    number: str
    left: str
    right: str
    prefers: str
    how: str = ""
    left_faults: str = ""
    right_faults: str = ""
    why: str = ""

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("left", self.left, CLASSES),
            ("right", self.right, CLASSES),
            ("prefers", self.prefers, (*_SIDES, "even")),
            ("how", self.how, ("", "clearly", "slightly")),
        ):
            if value not in allowed:
                words = ", ".join(each or "nothing" for each in allowed)
                raise InputError(f"pair {self.number}: {name} is {value!r}, expected {words}")
        for fault in f"{self.left_faults} {self.right_faults}".split():
            if fault not in FAULTS:
                raise InputError(
                    f"pair {self.number}: no fault {fault!r}, expected {', '.join(FAULTS)}"
                )

    def of(self, side: str) -> tuple[str, frozenset[str]]:
        """Class and faults of a side."""
        return getattr(self, side), frozenset(getattr(self, f"{side}_faults").split())


def names_of(path: Path) -> list[str]:
    """Read a list of photographs, without comments."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def photograph(name: str, data: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Read a photograph below the folder of data, or one of scikit-image."""
    folder, _, own = name.partition("/")
    if folder == "skimage":
        return in_colour(getattr(skimage.data, own)())
    return read_photo(data / name).pixels


def key_of(names: Sequence[str], readers: int, seed: int) -> dict[str, dict[str, list[str]]]:
    """Draw the order of photographs and the side of the new network, for every reader."""
    key = {}
    for reader in range(1, readers + 1):
        random = np.random.default_rng([seed, reader])
        order = random.permutation(len(names))
        sides = random.permutation(np.arange(len(names)) % 2)
        key[f"reader-{reader}"] = {
            f"{number:02}": [names[place], _SIDES[side]]
            for number, (place, side) in enumerate(zip(order, sides, strict=True), start=1)
        }
    return key


def write_sheets(
    models: Sequence[Model], key: Mapping[str, Mapping[str, list[str]]], data: Path, out: Path
) -> None:
    """Write every reader's sheets and an empty table of ratings."""
    names = {name for pairs in key.values() for name, _ in pairs.values()}
    pictures = {name: list(_pictures(photograph(name, data), models)) for name in sorted(names)}
    for reader, pairs in key.items():
        folder = out / reader
        folder.mkdir(parents=True, exist_ok=True)
        rows = [
            _row(number, pictures[name], new_side=side) for number, (name, side) in pairs.items()
        ]
        for first in range(0, len(rows), _ROWS):
            sheet = grid([[row] for row in rows[first : first + _ROWS]])
            numbers = list(pairs)[first : first + _ROWS]
            sheet.save(folder / f"pairs-{numbers[0]}-{numbers[-1]}.png")
        with (folder / "ratings.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(field.name for field in fields(Rating))
            table.writerows([number] for number in pairs)


def _pictures(pixels: UInt8[np.ndarray, "h w 3"], models: Sequence[Model]) -> Iterator[Image.Image]:
    """The photograph, and depth by every network."""
    yield Image.fromarray(pixels)
    for model in models:
        yield Image.fromarray(colourise(rilievo.predict(pixels, model=model).depth))


def _row(number: str, pictures: Sequence[Image.Image], *, new_side: str) -> Image.Image:
    height = round((_AREA * pictures[0].height / pictures[0].width) ** 0.5)
    photo, old, new = (of_height(picture, height) for picture in pictures)
    both = (new, old) if new_side == "left" else (old, new)
    row = grid([[photo, *both]])
    labelled = Image.new("RGB", (row.width, row.height + _LABEL), "white")
    labelled.paste(row, (0, _LABEL))
    draw = ImageDraw.Draw(labelled)
    for text, left in (
        (f"pair {number}", 0),
        (f"{number} left", photo.width + 4),
        (f"{number} right", photo.width + both[0].width + 8),
    ):
        draw.text((left + 4, 4), text, fill="black")
    return labelled


def read_ratings(path: Path) -> list[Rating]:
    """Read one reader's table.

    Raises:
        InputError: If a column is missing or a word is none of those allowed.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = [field.name for field in fields(Rating)]
    missing = [name for name in names if rows and name not in rows[0]]
    if missing or not rows:
        raise InputError(f"{path}: no column {', '.join(missing) or 'at all'}")
    cells = [{name: (row[name] or "").strip() for name in names} for row in rows]
    return [
        Rating(**{name: cell if name == "why" else cell.lower() for name, cell in row.items()})
        for row in cells
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedRating:
    """One reader's words on a photograph after the key is opened."""

    name: str
    preferred: str
    how: str
    old: str
    new: str
    old_faults: frozenset[str]
    new_faults: frozenset[str]
    why: str


def opened(ratings: Sequence[Rating], pairs: Mapping[str, Sequence[str]]) -> list[OpenedRating]:
    """Open the key.

    Raises:
        InputError: If a pair has no rating, or two.
    """
    by_number = {rating.number.zfill(2): rating for rating in ratings}
    if set(by_number) != set(pairs) or len(by_number) != len(ratings):
        odd = sorted(set(by_number) ^ set(pairs)) or ["one that is there twice"]
        raise InputError(f"every pair of the key needs one rating; look at {', '.join(odd)}")
    rows = []
    for number, (name, new_side) in pairs.items():
        rating = by_number[number]
        old_side = "right" if new_side == "left" else "left"
        (old, old_faults), (new, new_faults) = rating.of(old_side), rating.of(new_side)
        preferred = {new_side: "new", old_side: "old"}.get(rating.prefers, "even")
        rows.append(
            OpenedRating(
                name=name,
                preferred=preferred,
                how=rating.how,
                old=old,
                new=new,
                old_faults=old_faults,
                new_faults=new_faults,
                why=rating.why,
            )
        )
    return rows


def tally(rows: Sequence[OpenedRating]) -> str:
    """Count one reader's preferences, classes and faults."""
    preferred = Counter(row.preferred for row in rows)
    clearly = Counter(row.preferred for row in rows if row.how == "clearly")
    text = (
        f"of {len(rows)}: new preferred {preferred['new']} ({clearly['new']} clearly), old "
        f"{preferred['old']} ({clearly['old']} clearly), even {preferred['even']}\n"
    )
    for network in ("old", "new"):
        classes = Counter(getattr(row, network) for row in rows)
        faults = Counter(fault for row in rows for fault in getattr(row, f"{network}_faults"))
        text += f"{network}: " + ", ".join(f"{name} {classes[name]}" for name in CLASSES)
        text += "; " + ", ".join(f"{name} {faults[name]}" for name in FAULTS) + "\n"
    return text


def agreement(readers: Sequence[Sequence[OpenedRating]]) -> str:
    """Say how often two readers prefer the same."""
    first, second = ({row.name: row.preferred for row in rows} for rows in readers[:2])
    both = [(first[name], second[name]) for name in first if name in second]
    same = sum(a == b for a, b in both)
    against = sum({a, b} == {"new", "old"} for a, b in both)
    return f"both readers: the same on {same} of {len(both)}, opposite on {against}\n"


def table(readers: Mapping[str, Sequence[OpenedRating]]) -> str:
    """Format every rating as tab-separated values, a photograph a line."""
    words = ("old", "new", "prefers", "how", "old faults", "new faults", "why")
    head = ["photograph", *(f"{reader}: {word}" for reader in readers for word in words)]
    by_name = {reader: {row.name: row for row in rows} for reader, rows in readers.items()}
    lines = ["\t".join(head)]
    for name in sorted(next(iter(by_name.values()))):
        cells = [name]
        for rows in by_name.values():
            row = rows[name]
            cells += [row.old, row.new, row.preferred, row.how]
            cells += [" ".join(sorted(faults)) for faults in (row.old_faults, row.new_faults)]
            cells.append(row.why.replace("\t", " "))
        lines.append("\t".join(cells))
    return "\n".join(lines) + "\n"


def _sheets(options: argparse.Namespace) -> None:
    if options.data is None:
        raise OptionError("set RILIEVO_DATA or --data to the folder that holds the photographs")
    if options.key.resolve().is_relative_to(options.out.resolve()):
        raise OptionError(f"{options.key} lies in the readers' folder {options.out}")
    key = key_of(names_of(options.list), options.readers, secrets.randbits(64))
    models = [load_model(str(path), device="cpu", threads=1) for path in options.models]
    write_sheets(models, key, options.data, options.out)
    options.key.write_text(json.dumps(key, indent=1) + "\n", encoding="utf-8")


def _tally(options: argparse.Namespace) -> None:
    key = json.loads(options.key.read_text(encoding="utf-8"))
    if len(options.ratings) != len(key):
        raise OptionError(f"{len(options.ratings)} tables of ratings for {len(key)} readers")
    readers = {
        reader: opened(read_ratings(path), key[reader])
        for reader, path in zip(key, options.ratings, strict=True)
    }
    for reader, rows in readers.items():
        sys.stdout.write(f"# {reader}\n{tally(rows)}")
    if len(readers) > 1:
        sys.stdout.write(agreement(list(readers.values())))
    for part in options.photo:
        for reader, rows in readers.items():
            for row in rows:
                if part in row.name:
                    sys.stdout.write(
                        f"{row.name}, {reader}: {row.old} -> {row.new}, prefers {row.preferred} "
                        f"{row.how}; {row.why}\n"
                    )
    if options.tsv:
        options.tsv.write_text(table(readers), encoding="utf-8")


def main() -> None:
    """Read the command and run it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    sheets = commands.add_parser("sheets", help="write sheets and the key")
    sheets.add_argument("models", type=Path, nargs=2, metavar="MODEL", help="old, new")
    sheets.add_argument("list", type=Path, help="photographs, one a line")
    sheets.add_argument("out", type=Path, help="folder of the readers' folders")
    sheets.add_argument("--key", type=Path, required=True, help="file that readers do not get")
    sheets.add_argument("--readers", type=int, default=2)
    sheets.add_argument("--data", type=Path, default=os.environ.get("RILIEVO_DATA"))
    sheets.set_defaults(run=_sheets)
    count = commands.add_parser("tally", help="count ratings")
    count.add_argument("key", type=Path)
    count.add_argument("ratings", type=Path, nargs="+", help="tables in the order of the readers")
    count.add_argument("--photo", action="append", default=[], help="part of a name to print")
    count.add_argument("--tsv", type=Path, help="where to write all ratings")
    count.set_defaults(run=_tally)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    try:
        main()
    except RilievoError as error:
        sys.exit(f"error: {error}")
