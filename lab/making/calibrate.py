"""``python -m lab.making calibrate``: all that follows a new network, in order.

The steps stand in ``calibration_steps.py``. A step is skipped where neither what it reads nor what
it wrote has changed since it ran, so a run that was stopped goes on where it was. ``state.json`` in
the folder of the run has the sums of both, and the output of every step is in ``NAME.log``.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from lab.making.calibration_steps import ROOT, STEPS, Step
from rilievo.cli.parsing import parse
from rilievo.cli.streams import printing
from rilievo.errors import InputError, OptionError
from rilievo.io.files.atomic import replacing
from rilievo.schema.fields import option

_STATE = "state.json"


@dataclass(frozen=True, kw_only=True)
class CalibrateOptions:
    """Options of ``python -m lab.making calibrate``."""

    network: Annotated[Path | None, option(metavar="FILE")] = None
    """New network whose confidence has not been recalibrated; by default that of the package."""
    folder: Annotated[Path, option(aliases=("-o",), metavar="FOLDER")] = Path("runs/calibrate")
    """Folder for scores, logs and the record of the steps that ran."""
    data: Annotated[Path | None, option(metavar="FOLDER")] = None
    """Folder of the sets with depth, photographs and materials; RILIEVO_DATA by default."""
    only: Annotated[str | None, option(comma_separated=True, metavar="STEP,...")] = None
    """Steps to run, in the order of the table; all by default."""
    workers: Annotated[int, option(metavar="N")] = 1
    """Number of processes that score frames."""
    force: bool = False
    """Run the steps again whose inputs and outputs are unchanged."""
    list: bool = False
    """Print the steps, and which of them would run."""

    def __post_init__(self) -> None:
        names = [step.name for step in STEPS]
        for name in self.chosen:
            if name not in names:
                raise OptionError(f"no step '{name}'; the steps are {', '.join(names)}")

    @property
    def chosen(self) -> tuple[str, ...]:
        """Names in ``only``; none if all steps run."""
        return tuple(name.strip() for name in self.only.split(",")) if self.only else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Files and folders that the commands of steps name, by their placeholders."""

    folder: Path
    data: Path
    network: Path
    workers: int

    def filled(self, text: str) -> str:
        """Put paths in the place of ``{folder}``, ``{data}``, ``{network}``, ``{workers}``."""
        names = ("folder", "data", "network", "workers")
        return text.format(**{name: getattr(self, name) for name in names})


def main(arguments: Sequence[str]) -> int:
    """Run the steps whose inputs have changed; returns 0 when all have run."""
    options = parse(
        CalibrateOptions,
        arguments,
        prog="python -m lab.making calibrate",
        description="Do all that follows a new network: confidence, ranges, scores, cards, "
        "pictures and tests.",
        examples=(
            "python -m lab.making calibrate --list",
            "python -m lab.making calibrate --network fused.onnx",
            "python -m lab.making calibrate --only ranges,cards",
        ),
    )
    with printing():
        run_steps(options)
    return 0


def run_steps(options: CalibrateOptions, steps: Sequence[Step] = STEPS, root: Path = ROOT) -> None:
    """Run steps in order, and skip those that are up to date.

    Raises:
        InputError: If the data are not there, or a step fails.
    """
    places = _places(options)
    chosen = [step for step in steps if not options.chosen or step.name in options.chosen]
    for number, step in enumerate(chosen, 1):
        state = _read_state(places.folder)
        stale = options.force or not is_current(step, state, places, root)
        words = f"{number}/{len(chosen)} {step.name}: {step.purpose}"
        if options.list:
            print(f"{words} ({step.minutes:g} min){'' if stale else ', up to date'}")
        elif not stale:
            print(f"{words}: up to date")
        else:
            print(f"{words} (about {step.minutes:g} min)", flush=True)
            _run(step, places, root)
    afterwards = [step.afterwards for step in chosen if step.afterwards]
    if afterwards and not options.list:
        print("left to a person: " + "; ".join(afterwards))


def _places(options: CalibrateOptions) -> Places:
    data = options.data or Path(os.environ.get("RILIEVO_DATA", ""))
    if data == Path() and not options.list:
        raise InputError("no data: give --data, or set RILIEVO_DATA to the folder of the sets")
    folder = options.folder.resolve()
    network = options.network.resolve() if options.network else folder / "network.onnx"
    return Places(folder=folder, data=data.resolve(), network=network, workers=options.workers)


def _run(step: Step, places: Places, root: Path) -> None:
    places.folder.mkdir(parents=True, exist_ok=True)
    began, log = time.monotonic(), places.folder / f"{step.name}.log"
    before = sum_of(step.reads, places, root)
    with log.open("wb") as file:
        for command in step.commands:
            words = [places.filled(word) for word in command]
            print("  $ " + " ".join(words), flush=True)
            _call(words, file.fileno(), step, places, root)
    seconds = time.monotonic() - began
    print(f"  {seconds / 60:.1f} minutes; {log}")
    entry = {
        "reads": before,
        "writes": sum_of(step.writes, places, root),
        "minutes": round(seconds / 60, 1),
    }
    _write_state(places.folder, {**_read_state(places.folder), step.name: entry})


def _call(words: Sequence[str], log: int, step: Step, places: Places, root: Path) -> None:
    """Run a command with the package and the data of this run; its output goes to the log."""
    path = os.pathsep.join((str(root / "src"), str(root)))
    environment = {**os.environ, "PYTHONPATH": path, "RILIEVO_DATA": str(places.data)}
    given = [sys.executable, *words[1:]] if words[0] == "python" else [*words]
    output: int = log
    if step.output is not None:
        output = os.open(places.filled(step.output), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        done = subprocess.run(given, cwd=root, env=environment, stdout=output, stderr=log)
    finally:
        if output != log:
            os.close(output)
    if done.returncode:
        raise InputError(
            f"step '{step.name}' failed with status {done.returncode}: see {step.name}.log in "
            f"{places.folder}; after the mend, run the command again"
        )


def is_current(step: Step, state: Mapping[str, Mapping], places: Places, root: Path) -> bool:
    """Whether a step has run, and neither its inputs nor its outputs have changed since."""
    entry = state.get(step.name)
    if entry is None:
        return False
    sums = (sum_of(parts, places, root) for parts in (step.reads, step.writes))
    return tuple(sums) == (entry["reads"], entry["writes"])


def sum_of(parts: Sequence[str], places: Places, root: Path) -> str:
    """SHA-256 of files.

    Args:
        parts: Paths or patterns below ``root``, or with placeholders. Of ``FILE.json#a,b`` the keys
            a and b count, of ``FILE.json#!a`` all but a.
        places: Files and folders of the placeholders.
        root: Folder of the repository.
    """
    total = hashlib.sha256()
    for part in parts:
        path, _, keys = places.filled(part).partition("#")
        for file in _files(path, root):
            total.update(f"{file.name}\n".encode())
            total.update(
                _keys_of(file, keys) if keys else hashlib.sha256(file.read_bytes()).digest()
            )
    return total.hexdigest()


def _files(path: str, root: Path) -> Iterable[Path]:
    """Files of a path or a pattern, in order; none where there is none."""
    if Path(path).is_absolute():
        return [Path(path)] if Path(path).is_file() else []
    return sorted(file for file in root.glob(path) if file.is_file())


def _keys_of(file: Path, keys: str) -> bytes:
    values, names = json.loads(file.read_text("utf-8")), keys.removeprefix("!").split(",")
    part = {key: value for key, value in values.items() if (key in names) != keys.startswith("!")}
    return json.dumps(part, sort_keys=True).encode()


def _read_state(folder: Path) -> dict[str, Mapping]:
    path = folder / _STATE
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def _write_state(folder: Path, state: Mapping[str, Mapping]) -> None:
    with replacing(folder / _STATE) as part:
        part.write_text(json.dumps(state, indent=1) + "\n", "utf-8")
