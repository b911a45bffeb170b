"""Released programs by benchmark, read from ``programs.toml``."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import OptionError

_LISTS = ("commits", "functions", "cases")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A released program.

    Attributes:
        name: Name in the table.
        repository: Address that it is cloned from.
        commits: Commits whose functions were read, the one to check out first; first digits.
        functions: Functions that are called, as ``module:name``.
        folder: Folder of the checkout that its modules are imported from.
        tolerance: Difference, relative to numbers above 1, up to which two numbers are the same.
        why: Reason for another tolerance than 1e-6.
        is_masked: Whether its functions take a mask, so that truth may be missing.
        cases: Names of hard maps that are tried besides plain ones (``lab.prove.hard_maps``).
        cut: Whether the text of its functions is cut out of their files, which cannot be imported.
        resizes: Rule by which the program resizes predictions, with its file and line.
        invalid: Rule for predictions that are NaN, infinite, zero or negative, likewise.
    """

    name: str
    repository: str
    commits: tuple[str, ...]
    functions: tuple[str, ...]
    folder: str = ""
    tolerance: float = 1e-6
    why: str = ""
    is_masked: bool = True
    cases: tuple[str, ...] = ()
    cut: bool = False
    resizes: str = ""
    invalid: str = ""


def program_of(benchmark: str) -> Program:
    """The program that proves a benchmark.

    Raises:
        OptionError: If none does, with the reason.
    """
    known = proofs()
    if benchmark not in known:
        raise OptionError(
            f"the benchmark '{benchmark}' cannot be proved: it is not one of rilievo's own"
        )
    found = known[benchmark]
    if isinstance(found, str):
        raise OptionError(f"the benchmark '{benchmark}' cannot be proved: {found}")
    return found


def proofs() -> Mapping[str, Program | str]:
    """The program of each benchmark, or the reason why it has none."""
    tables = tomllib.loads((Path(__file__).parent / "programs.toml").read_text(encoding="utf-8"))
    programs = {
        name: Program(
            **(row | {key: tuple(row[key]) for key in _LISTS if key in row}),
            name=name,
        )
        for name, row in tables["program"].items()
    }
    found: dict[str, Program | str] = {}
    for name, benchmarks in tables["proved"].items():
        found |= dict.fromkeys(benchmarks, programs[name])
    for reason, benchmarks in tables["unproved"].items():
        found |= dict.fromkeys(benchmarks, reason)
    return found
