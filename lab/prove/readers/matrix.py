"""Compare what readers say with each other and with rilievo."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lab.prove.readers.exports import Export
from lab.prove.readers.releases import (
    Reader,
    Release,
    make_environment,
    read_by,
    releases_of,
    version_in,
)
from rilievo.errors import RilievoError

RELEASES_AGREE = 1e-6
"""Largest difference between two releases of a reader, relative above 1."""
RILIEVO_AGREES = 1e-4
"""Largest difference from rilievo, relative above 1, unless an export states its precision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the oldest and the newest release say of an export; a fault is why it is red."""

    export: str
    reader: str
    oldest: str
    newest: str
    between: float = float("nan")
    from_rilievo: float = float("nan")
    allowed: float = RILIEVO_AGREES
    fault: str = ""

    @property
    def is_red(self) -> bool:
        """Whether it was not read, or differs."""
        return bool(self.fault)


def rows_of(
    reader: Reader, exports: Mapping[str, Export], environments: Path, *, latest: bool
) -> list[Row]:
    """A row for each export of the reader's kinds; what cannot be installed or read is a fault."""
    opened = {name: export for name, export in exports.items() if reader.opens(name)}
    readings = [
        _Reading.of(release, opened, environments) for release in releases_of(reader, latest=latest)
    ]
    return [_compare(reader, name, export, *readings) for name, export in opened.items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """Arrays by export, and faults by export, of one release."""

    version: str
    arrays: Mapping[str, Mapping[str, np.ndarray]]
    faults: Mapping[str, str]

    @classmethod
    def of(cls, release: Release, exports: Mapping[str, Export], environments: Path) -> "_Reading":
        try:
            python = make_environment(release, environments)
            version = version_in(python, release.reader)
        except RilievoError as error:
            faults = dict.fromkeys(exports, str(error))
            return cls(version=release.version or "latest", arrays={}, faults=faults)
        arrays, faults = {}, {}
        for name, export in exports.items():
            try:
                read = read_by(python, release.reader, {name: export.path})
            except RilievoError as error:
                faults[name] = str(error)
                continue
            arrays[name] = {key.removeprefix(f"{name}/"): values for key, values in read.items()}
        return cls(version=version, arrays=arrays, faults=faults)


def _compare(reader: Reader, name: str, export: Export, oldest: _Reading, newest: _Reading) -> Row:
    row = Row(export=name, reader=reader.name, oldest=oldest.version, newest=newest.version)
    faults = [
        f"{reader.name} {reading.version}: {reading.faults[name]}"
        for reading in (oldest, newest)
        if name in reading.faults
    ]
    if faults:
        return replace(row, fault="; ".join(faults))
    first, second = oldest.arrays[name], newest.arrays[name]
    names = [each for each in first if each in export.expected and each in second]
    between = max((difference(first[each], second[each]) for each in names), default=0.0)
    worst, allowed, fault = 0.0, RILIEVO_AGREES, ""
    for each in names:
        limit = export.precision.get(each, RILIEVO_AGREES)
        for reading in (first, second):
            error = difference(reading[each], export.expected[each])
            if error / limit >= worst / allowed:
                worst, allowed = error, limit
    if first.keys() != second.keys():
        fault = "its releases give other arrays"
    elif not names and not reader.checks:
        fault = f"it has none of {', '.join(export.expected)}"
    elif between > RELEASES_AGREE:
        fault = f"its releases differ by more than {RELEASES_AGREE:g}"
    elif worst > allowed:
        fault = f"it differs from rilievo by more than {allowed:.2g}"
    return replace(row, between=between, from_rilievo=worst, allowed=allowed, fault=fault)


def difference(first: np.ndarray, second: np.ndarray) -> float:
    """Largest difference, relative above 1; infinite where shapes or invalid places differ."""
    if first.shape != second.shape:
        return float("inf")
    first, second = (np.asarray(values, np.float64) for values in (first, second))
    if not np.array_equal(np.isnan(first), np.isnan(second)):
        return float("inf")
    scale = np.maximum(1, np.abs(second))
    return float(np.nanmax(np.abs(first - second) / scale, initial=0.0))
