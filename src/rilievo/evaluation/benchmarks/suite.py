"""Suites: several benchmarks that are run in turn, listed in a TOML file.

A suite of your own is a file anywhere::

    title = "What our robot meets"

    [[runs]]
    benchmark = "depth"
    dataset = "folder"
    folder = "corridors"            # below --root, or absolute
    name = "corridors"              # of its results
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rilievo.errors import InputError, OptionError, UntrustedCodeError, suggest
from rilievo.extensions.trust import check_trusted
from rilievo.io.files.limits import read_text
from rilievo.io.files.names import printable
from rilievo.io.json_record import record_from_data

_FOLDER = Path(__file__).with_name("suites")
_MAX_DOTS = 1000
"""Most dots in a line of a suite: tomllib takes quadratic time and memory in the parts of a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRun:
    """One benchmark of a suite.

    Attributes:
        folder: Folder of the dataset, below ``--root`` or absolute; None for ``--root`` itself.
        list_file: The user's own list of images, beside the suite's file or absolute.
        name: Name of the folder for its results; None to make one from the other attributes.
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
        """Name of the run and of the folder for its results, without special characters."""
        benchmark = self.benchmark
        if _is_in_python_file(benchmark):
            benchmark = benchmark.rpartition(":")[2]
        parts = (benchmark, self.dataset, self.split, self.variant)
        name = self.name or "-".join(part for part in parts if part)
        return re.sub(r"[^\w.+=-]+", "-", name).strip("-.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Several benchmarks, in order."""

    title: str
    runs: tuple[SuiteRun, ...]
    name: str = ""


def suite_names() -> tuple[str, ...]:
    """Names of the suites that are part of rilievo."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def bundled_suites() -> Mapping[str, Suite]:
    """Suites that are part of rilievo, by name."""
    return {name: find_suite(name) for name in suite_names()}


def find_suite(name: str | Path) -> Suite:
    """Find a suite by its name, or by the path of its TOML file.

    Raises:
        OptionError: If there is no suite of that name.
        InputError: If the file does not describe a suite.
    """
    if str(name) in suite_names():
        return _read_suite(_FOLDER / f"{name}.toml")
    path = Path(name).expanduser()
    if path.suffix != ".toml":
        raise OptionError(
            f"no suite '{name}'; {suggest(str(name), suite_names())}; for your own suite, give a "
            ".toml file"
        )
    return _read_suite(path)


def _read_suite(path: Path) -> Suite:
    """Read a suite from its TOML file; any fault of the file becomes an InputError."""
    file_name = printable(path)
    text = read_text(path)
    try:
        suite = _parse_suite(text, file_name)
    except UntrustedCodeError:
        raise
    except (ValueError, TypeError, RecursionError) as error:
        one_line = " ".join(str(error).split())
        raise InputError(f"{file_name}: is not a suite of benchmarks: {one_line}") from error
    runs = tuple(_resolve_paths(run, path.parent) for run in suite.runs)
    suite = replace(suite, name=path.stem, runs=runs)
    _check_labels(suite, file_name)
    return suite


def _parse_suite(text: str, file_name: str) -> Suite:
    """Parse the text of a suite's file, and check that the code it names is trusted."""
    if any(line.count(".") > _MAX_DOTS for line in text.split("\n")):
        raise ValueError(f"a line has more than {_MAX_DOTS} dots, which is the limit")
    table = tomllib.loads(text)
    suite = record_from_data(Suite, table)
    for run in suite.runs:
        check_trusted(run.benchmark, "benchmark", file_name)
        check_trusted(run.dataset or "", "dataset", file_name)
    return suite


def _resolve_paths(run: SuiteRun, folder: Path) -> SuiteRun:
    """Make the paths in a run relative to the folder of the suite's file."""
    if run.list_file is not None:
        run = replace(run, list_file=str(folder / run.list_file))
    if _is_in_python_file(run.benchmark):
        run = replace(run, benchmark=str(folder / run.benchmark))
    return run


def _is_in_python_file(benchmark: str) -> bool:
    return ".py:" in benchmark


def _check_labels(suite: Suite, file_name: str) -> None:
    """Check that a suite has runs, and that their results have different names."""
    if not suite.runs:
        raise InputError(f"{file_name}: has no runs; add a [[runs]] table with a benchmark")
    labels: set[str] = set()
    for run in suite.runs:
        if not run.label:
            raise InputError(
                f"{file_name}: the name '{run.name or ''}' of a run cannot name the folder of its "
                "results; choose a name with letters or digits"
            )
        # Some file systems do not tell upper and lower case apart.
        label = run.label.casefold()
        if label in labels:
            raise InputError(
                f"{file_name}: two runs are called '{run.label}'; give one of them a different name"
            )
        labels.add(label)
