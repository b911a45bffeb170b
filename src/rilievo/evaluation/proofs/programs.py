"""Released programs by benchmark, read from ``programs.toml``."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import OptionError


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A released program.

    Attributes:
        name: Name in the table.
        repository: Address that it is cloned from.
        commit: Commit whose functions were read; its first digits.
        functions: Functions that are called, as ``module:name``.
        folder: Folder of the checkout that its modules are imported from.
    """

    name: str
    repository: str
    commit: str
    functions: tuple[str, ...]
    folder: str = ""


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
            name=name,
            repository=each["repository"],
            commit=each["commit"],
            functions=tuple(each["functions"]),
            folder=each.get("folder", ""),
        )
        for name, each in tables["program"].items()
    }
    found: dict[str, Program | str] = {}
    for name, benchmarks in tables["proved"].items():
        found |= dict.fromkeys(benchmarks, programs[name])
    for reason, benchmarks in tables["unproved"].items():
        found |= dict.fromkeys(benchmarks, reason)
    return found
