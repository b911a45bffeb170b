"""Print the modules of rilievo through which one call passes, in the order of their first entry.

Usage: python tools/journey.py NAME

A module is entered when one of its functions is called, in any thread of this process. What runs
because a module is being imported does not count, nor do lambdas and expressions in brackets.
Behind each module stand the functions that were called. The last lines count

- the modules entered on the whole way, and their functions;
- the modules entered within the first 400 calls and returns of the calling thread: how a reader
  counts the rooms through which a call leads before the work begins to repeat itself;
- the modules imported by the end, and their lines;
- the functions that options pass: those with an argument that holds options.

An argument holds options if it is a record of options or a list, tuple, set or dict with one. A
record's class is defined in this source, and has a base ``Record`` or a name that ends with
``Options``, ``Config`` or ``Arguments``. Methods of records count; ``__init__``, ``__new__`` and
``__post_init__`` do not.

The journeys are at the end of the file: what is called, the function with whose call the journey
begins, and the one with whose first return it ends.
"""

import argparse
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from inspect import CO_VARARGS, CO_VARKEYWORDS
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "rilievo"
FIRST_EVENTS = 400
ENDINGS = ("Options", "Config", "Arguments")
MAKERS = frozenset(("__init__", "__new__", "__post_init__"))


@dataclass(frozen=True, slots=True)
class Journey:
    """A call to follow.

    Attributes:
        call: Makes the call, in an empty folder.
        begins: Name of the function whose call is the beginning; "" begins at once.
        ends: Name of the function whose first return is the end; "" ends with the call.
    """

    call: Callable[[Path], object]
    begins: str = ""
    ends: str = ""


@dataclass(slots=True)
class Trail:
    """Modules that a call passed through.

    Attributes:
        functions: Names of the functions entered, by module; both in the order of first entry.
        early: Modules entered within the first events.
        imported: Modules imported by the end.
        options: Functions that options pass.
    """

    functions: dict[str, dict[str, None]] = field(default_factory=dict)
    early: set[str] = field(default_factory=set)
    imported: list[Path] = field(default_factory=list)
    options: set[str] = field(default_factory=set)


def follow(journey: Journey, source: Path = SOURCE) -> Trail:
    """Make the call of a journey, and follow it through the modules below ``source``."""
    follower = _Follower(journey, source)
    threading.setprofile(follower)
    sys.setprofile(follower)
    try:
        with tempfile.TemporaryDirectory() as folder:
            journey.call(Path(folder))
    finally:
        follower.stop()
    return follower.trail


class _Follower:
    """A profiler that notes a journey's trail."""

    def __init__(self, journey: Journey, source: Path) -> None:
        self.trail = Trail()
        self._journey, self._below = journey, f"{source}/"
        self._modules: dict[CodeType, str] = {}
        self._kinds: dict[type, bool] = {}
        self._thread = threading.current_thread()
        self._local = threading.local()
        self._events = 0
        self._is_on, self._is_over = not journey.begins, False

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """Note one event of Python's profiler."""
        if self._is_over or event not in ("call", "return"):
            return
        code = frame.f_code
        importing = getattr(self._local, "importing", 0)
        if code.co_name == "<module>":
            self._local.importing = importing + (1 if event == "call" else -1)
        elif (module := self._module(code)) and not importing:
            self._note(module, frame, event)

    def _module(self, code: CodeType) -> str:
        """Path of a function's module; "" for one that does not count."""
        if code not in self._modules:
            counts = code.co_filename.startswith(self._below) and not code.co_name.startswith("<")
            self._modules[code] = code.co_filename.removeprefix(self._below) if counts else ""
        return self._modules[code]

    def _note(self, module: str, frame: FrameType, event: str) -> None:
        function = frame.f_code.co_qualname
        self._is_on = self._is_on or function == self._journey.begins
        if not self._is_on:
            return
        if threading.current_thread() is self._thread:
            self._events += 1
        if event == "call":
            self.trail.functions.setdefault(module, {})[function] = None
            if self._events <= FIRST_EVENTS:
                self.trail.early.add(module)
            if frame.f_code.co_name not in MAKERS and self._has_options(frame):
                self.trail.options.add(f"{module}:{function}")
        elif function == self._journey.ends:
            self.stop()

    def _has_options(self, frame: FrameType) -> bool:
        code = frame.f_code
        count = code.co_argcount + code.co_kwonlyargcount
        count += bool(code.co_flags & CO_VARARGS) + bool(code.co_flags & CO_VARKEYWORDS)
        values = frame.f_locals
        return any(self._holds_options(values.get(name)) for name in code.co_varnames[:count])

    def _holds_options(self, value: object) -> bool:
        if isinstance(value, dict):
            value = [*value.values()]
        if isinstance(value, list | tuple | set | frozenset):
            return any(self._is_options(type(part)) for part in value)
        return self._is_options(type(value))

    def _is_options(self, kind: type) -> bool:
        if kind not in self._kinds:
            file = getattr(sys.modules.get(kind.__module__), "__file__", None) or ""
            self._kinds[kind] = file.startswith(self._below) and (
                kind.__name__.endswith(ENDINGS) or any(b.__name__ == "Record" for b in kind.__mro__)
            )
        return self._kinds[kind]

    def stop(self) -> None:
        """End the journey; the call may go on."""
        if self._is_over:
            return
        self._is_over = True
        sys.setprofile(None)
        threading.setprofile(None)
        files = {getattr(module, "__file__", None) for module in [*sys.modules.values()]}
        self.trail.imported = [
            Path(file) for file in files if file and file.startswith(self._below)
        ]


def report(trail: Trail) -> str:
    """Describe a trail: a line for each module, then the counts."""
    lines = [
        f"{number:3}  {module:<40} {', '.join(functions)}"
        for number, (module, functions) in enumerate(trail.functions.items(), start=1)
    ]
    functions = sum(map(len, trail.functions.values()))
    imported = sum(len(file.read_bytes().splitlines()) for file in trail.imported)
    return "\n".join(
        (
            *lines,
            f"{len(trail.functions)} modules entered, {functions} functions",
            f"{len(trail.early)} modules within the first {FIRST_EVENTS} calls and returns",
            f"{len(trail.imported)} modules imported, {imported:,} lines",
            f"{len(trail.options)} functions that options pass",
        )
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Follow one journey and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", choices=JOURNEYS)
    journey = JOURNEYS[parser.parse_args(arguments).name]
    # The package of this checkout; the journeys' datasets, clips and models are those of the tests.
    sys.path[:0] = [str(SOURCE.parent), str(ROOT / "tests")]
    trail = follow(journey, SOURCE)
    if not trail.functions:
        print(
            f"no module of {SOURCE} was entered; expected the package of this checkout, not"
            " one that was imported before it",
            file=sys.stderr,
        )
        return 1
    print(report(trail))
    return 0


def predict(folder: Path) -> None:
    """Predict a photograph, from the command line on."""
    from PIL import Image

    Image.new("RGB", (640, 480), (90, 120, 30)).save(folder / "photo.jpg")
    _command("predict", folder / "photo.jpg", folder / "out")


def evaluate(folder: Path) -> None:
    """Evaluate a model on a small dataset."""
    _evaluate(folder, "rilievo/small")


def evaluate_predictions(folder: Path) -> None:
    """Evaluate another program's predictions of a small dataset."""
    import numpy as np

    depth = np.linspace(1, 2, 48 * 64, dtype=np.float32).reshape(48, 64)
    (folder / "predictions").mkdir()
    for name in "abcd":
        np.save(folder / f"predictions/{name}.npy", depth)
    _evaluate(folder, "theirs", predictions=folder / "predictions", kind="metric")


def video(folder: Path) -> None:
    """Predict a video as a video of its depth."""
    from clips import write_clip

    write_clip(folder / "clip.mp4")
    _command("predict", folder / "clip.mp4", folder / "out")


def _command(name: str, given: Path, out: Path) -> None:
    from rilievo.cli import main as run

    if run([name, str(given), "-o", str(out)]) != 0:
        raise SystemExit(f"rilievo {name} failed")


def _evaluate(folder: Path, model: str, **options: object) -> None:
    import rilievo
    from toy_dataset import write_toy

    write_toy(folder / "set")
    given: dict[str, Any] = {
        "dataset": "toy_dataset:Toy",
        "output": folder / "out",
        "workers": 1,
        **options,
    }
    asked = rilievo.EvaluateOptions(**given)
    rilievo.evaluate(model, "depth", folder / "set", asked, show=False)


JOURNEYS = {
    "predict": Journey(predict),
    "evaluate": Journey(evaluate, begins="evaluate", ends="score"),
    "evaluate-predictions": Journey(evaluate_predictions, begins="evaluate", ends="score"),
    "video": Journey(video, begins="predict_video", ends="predict_video"),
}
"""Names of the journeys: options to a first score, a video's job to its file, and so on."""


if __name__ == "__main__":
    sys.exit(main())
