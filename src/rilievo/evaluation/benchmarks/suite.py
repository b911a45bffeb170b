"""Suites: several benchmarks that are run in turn, listed in a TOML file.

One's own is a file anywhere::

    title = "What our robot meets"

    [[runs]]
    benchmark = "depth"
    dataset = "folder"
    folder = "corridors"            # below --root, or absolute
    name = "corridors"              # of its results
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rilievo.errors import InputError, OptionError, UntrustedCodeError, suggest
from rilievo.extensions.trust import check_trusted
from rilievo.io.files.limits import read_text
from rilievo.io.files.names import printable
from rilievo.io.json_record import NotThisRecord, check_field_names, from_json

_FOLDER = Path(__file__).with_name("suites")
_MOST_DOTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRun:
    """One benchmark of a suite.

    Attributes:
        folder: Below ``--root`` or absolute; None for ``--root`` itself.
        list_file: Own list of images, beside the suite's file or absolute.
        name: Folder of its results.
    """

    benchmark: str
    folder: str | None = None
    dataset: str | None = None
    split: str | None = None
    variant: str | None = None
    list_file: str | None = None
    name: str | None = None

    @property
    def label(self) -> str:
        """Name of its results, fit for a folder."""
        own = ".py:" in self.benchmark
        benchmark = self.benchmark.rpartition(":")[2] if own else self.benchmark
        parts = (benchmark, self.dataset, self.split, self.variant)
        text = self.name or "-".join(part for part in parts if part)
        return re.sub(r"[^\w.+=-]+", "-", text).strip("-.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Several benchmarks, in order."""

    title: str
    runs: tuple[SuiteRun, ...]
    name: str = ""


def suite_names() -> tuple[str, ...]:
    """Names of rilievo's suites."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def bundled_suites() -> Mapping[str, Suite]:
    """Suites that rilievo has, by name."""
    return {name: find_suite(name) for name in suite_names()}


def find_suite(name: str | Path) -> Suite:
    """A suite by its name, or the path of its TOML file.

    Raises:
        OptionError: If there is none of that name.
        InputError: If the file is no suite.
    """
    if str(name) in suite_names():
        return _read_suite(_FOLDER / f"{name}.toml")
    path = Path(name).expanduser()
    if path.suffix != ".toml":
        raise OptionError(
            f"no suite '{name}'; {suggest(str(name), suite_names())}; one of your own is a .toml "
            "file"
        )
    return _read_suite(path)


def _read_suite(path: Path) -> Suite:
    where, text = printable(path), read_text(path)
    try:
        # tomllib takes quadratic time and memory in the number of a key's parts.
        if any(line.count(".") > _MOST_DOTS for line in text.split("\n")):
            raise ValueError(f"a line has more than {_MOST_DOTS} dots")
        table = tomllib.loads(text)
        check_field_names(Suite, table)
        suite = from_json(Suite, json.dumps(table))
        for run in suite.runs:
            check_trusted(run.benchmark, "benchmark", where)
            check_trusted(run.dataset or "", "dataset", where)
    except UntrustedCodeError:
        raise
    except (ValueError, TypeError, RecursionError) as error:
        text = error.message_in_file if isinstance(error, NotThisRecord) else str(error)
        line = " ".join(text.split())
        raise InputError(f"{where}: is no suite of benchmarks: {line}") from error
    suite = replace(suite, name=path.stem, runs=tuple(_resolve_run_paths(suite, path.parent)))
    _refuse_empty_or_equal_labels(suite, where)
    return suite


def _resolve_run_paths(suite: Suite, folder: Path) -> Iterator[SuiteRun]:
    for run in suite.runs:
        if run.list_file is not None:
            run = replace(run, list_file=str(folder / run.list_file))
        if ".py:" in run.benchmark:
            run = replace(run, benchmark=str(folder / run.benchmark))
        yield run


def _refuse_empty_or_equal_labels(suite: Suite, where: str) -> None:
    if not suite.runs:
        raise InputError(f"{where}: has no runs; add a table [[runs]] with a benchmark")
    labels: set[str] = set()
    for run in suite.runs:
        if not run.label:
            raise InputError(f"{where}: '{run.name or ''}' is no name for results")
        if run.label.casefold() in labels:
            raise InputError(
                f"{where}: two runs are called '{run.label}'; give one of them another name"
            )
        labels.add(run.label.casefold())
