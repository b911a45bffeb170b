"""``python -m lab.prove``: compare a benchmark with the released program that it reproduces."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lab.prove.checkout import check_commit, open_checkout
from lab.prove.programs import program_of, proofs
from lab.prove.proving import prove
from rilievo.cli.streams import format_table
from rilievo.errors import RilievoError
from rilievo.evaluation.benchmarks import find_benchmark

ALL = "all"


def main(arguments: Sequence[str]) -> int:
    """Print the commits, then the differences; returns 1 if there are any, 2 on wrong use."""
    parser = argparse.ArgumentParser("python -m lab.prove", description=__doc__)
    parser.add_argument("benchmark", help="name that 'rilievo benchmarks' lists, or all")
    parser.add_argument(
        "--clones", type=Path, metavar="DIR", help="with all: folder of clones by their names"
    )
    parser.add_argument(
        "--checkout", type=Path, metavar="FOLDER", help="clone of the program, whose code is run"
    )
    parser.add_argument(
        "--python", type=Path, metavar="EXE", help="Python of the program's own environment"
    )
    parser.add_argument(
        "--any-commit", action="store_true", help="run another commit, or changed files"
    )
    options = parser.parse_args(arguments)
    try:
        return _prove_all(options) if options.benchmark == ALL else _prove(options)
    except RilievoError as error:
        print(f"lab.prove: {error}", file=sys.stderr)
        return 2


def _prove_all(options: argparse.Namespace) -> int:
    """Run every proof whose clone is there, and tell which are missing; nothing is fetched."""
    if options.clones is None:
        raise RilievoError("all takes --clones, a folder of clones by their names")
    results: list[int] = []
    missing: dict[str, list[str]] = {}
    for name, program in proofs().items():
        if isinstance(program, str):
            continue
        folder = options.clones.expanduser() / program.repository.rpartition("/")[2]
        if not folder.is_dir():
            line = f"{folder}: git clone {program.repository}, at {program.commits[0]}"
            missing.setdefault(line, []).append(name)
            continue
        print(f"\n{name}", flush=True)
        own = folder / "venv" / "bin" / "python"
        python = options.python or (own if own.exists() else Path(sys.executable))
        each = vars(options) | {"benchmark": name, "checkout": folder, "python": python}
        try:
            results.append(_prove(argparse.Namespace(**each)))
        except RilievoError as error:
            print(f"lab.prove: {error}", file=sys.stderr)
            results.append(2)
    unproved = sum(map(len, missing.values()))
    print(f"\n{len(results)} proofs ran, {sum(map(bool, results))} failed, {unproved} lack a clone")
    for line, names in missing.items():
        print(f"missing: {line} ({', '.join(names)})")
    return max(results, default=2)


def _prove(options: argparse.Namespace) -> int:
    benchmark = find_benchmark(options.benchmark)
    program = program_of(benchmark.name)
    if options.checkout is None or options.python is None:
        raise RilievoError(
            f"{benchmark.name} takes --checkout, a clone of {program.repository} at "
            f"{program.commits[0]}, and --python, of an environment that runs it"
        )
    checkout = open_checkout(options.checkout.expanduser())
    print(check_commit(checkout, program, any_commit=options.any_commit), flush=True)
    differences = prove(benchmark, program, checkout, options.python.expanduser())
    rows = [
        (
            number.case,
            number.metric,
            f"{number.ours:.9g}",
            f"{number.theirs:.9g}",
            f"{number.size:.1e}",
            "" if number.agrees else "DIFFERS",
        )
        for number in differences
    ]
    for rule, words in (("resizes", program.resizes), ("invalid", program.invalid)):
        if words:
            print(f"{rule}: {words}")
    print(format_table(["map", "metric", "rilievo", program.name, "difference", ""], rows))
    other = sum(not number.agrees for number in differences)
    why = f" ({program.why})" if program.why else ""
    print(
        f"\n{len(differences)} numbers compared, {other} differ by more than "
        f"{program.tolerance:g}{why}"
    )
    return 1 if other else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
