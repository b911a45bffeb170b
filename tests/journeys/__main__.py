"""Do what users do, and compare it with what it did before.

Usage: python tests/journeys [NAME ...] [--update] [--keep FOLDER] [--tolerance 1e-4]

NAME is a journey of journeys.toml, such as predict/photo, or a group of them, such as predict. What
each journey does is stored in expected/GROUP/JOURNEY.json: exit status and last line of every
command, names of the files that it writes, keys and numbers of JSON, and shape, median, spread and
64 pixels of arrays. A difference is one line, and the exit status is 1; ``--update`` stores anew.

Numbers agree to 1e-4 of their size or of their array's spread. Other kernels (another kind of
processor, other versions of torch or ONNX Runtime) compute other float32 numbers: there, say
``--tolerance 0.01``. Pictures may differ by some levels, points of surfaces by 0.5%.
"""

import argparse
import contextlib
import importlib.util
import io
import json
import os
import shlex
import shutil
import sys
import tempfile
import time
import tomllib
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
EXPECTED = HERE / "expected"
SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "COLUMNS": "80",
    "NO_COLOR": "1",
    # Nothing is fetched: the proxy does not exist.
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1,localhost",
}
PASSING = (".lock",)
"""Suffixes of files that are no results."""

# Before numpy starts its threads: a journey is a fork of this process.
os.environ.update(SETTINGS)
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1] / "src")]


def journeys(names: Sequence[str]) -> dict[str, list[str]]:
    """Steps of the journeys that these names mean, or of all."""
    table = tomllib.loads((HERE / "journeys.toml").read_text("utf-8"))
    steps = {f"{group}/{name}": lines for group in table for name, lines in table[group].items()}
    for name in names:
        if not any(key == name or key.startswith(f"{name}/") for key in steps):
            sys.exit(f"no journey '{name}'; there are: {', '.join(steps)}")
    chosen = tuple(names)
    return {
        key: lines
        for key, lines in steps.items()
        if not chosen or any(key == name or key.startswith(f"{name}/") for name in chosen)
    }


def needs(steps: Sequence[str]) -> list[str]:
    """Modules that a journey needs."""
    return [step.removeprefix("needs ") for step in steps if step.startswith("needs ")]


def travel(steps: Sequence[str], folder: Path) -> dict[str, Any]:
    """Do the steps in a folder, and digest what they print and write."""
    before = set(_files(folder))
    record: dict[str, Any] = {"steps": [], "files": {}}
    for step in steps:
        if step.startswith("@"):
            record["steps"].append({step: _call(step)})
        else:
            record["steps"].append({step: _command(step, folder)})
    for name in _files(folder):
        if name not in before:
            record["files"][digest.name(name)] = digest.of_file(folder / name)
    return record


def _files(folder: Path) -> list[str]:
    paths = (
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.parent.name != "__pycache__"
    )
    names = (path.relative_to(folder).as_posix() for path in paths)
    return [
        name for name in names if not name.endswith(PASSING) and not Path(name).name.startswith(".")
    ]


def _call(step: str) -> dict[str, Any]:
    import calls

    name, *words = shlex.split(step[1:])
    try:
        return {key: _digest_of(value) for key, value in getattr(calls, name)(*words).items()}
    except Exception as error:
        traceback.print_exc()
        return {"traceback": type(error).__name__}


def _digest_of(value: Any) -> Any:
    if type(value).__module__ == "numpy":
        return digest.of_array(value)
    if isinstance(value, dict):
        if any(type(item).__module__ == "numpy" for item in value.values()):
            return {key: _digest_of(item) for key, item in value.items()}
        return digest.of_json(value)
    return value


def _command(step: str, folder: Path) -> dict[str, Any]:
    from rilievo.cli import main

    lists = step.startswith("words: ")
    out, err = _Stream(), _Stream()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status: Any = main(shlex.split(step.removeprefix("words: ")))
        except SystemExit as ended:
            status = ended.code
        except Exception as error:
            traceback.print_exc(file=sys.__stderr__)
            status = f"traceback: {type(error).__name__}"
    lines = [line for line in out.getvalue().splitlines() if line.strip()]
    errors = [line for line in err.getvalue().replace("\r", "\n").splitlines() if line.strip()]
    answer: dict[str, Any] = {"status": status}
    if "--json" in step and lines and status in (0, 1):
        return answer | {"json": digest.of_json(json.loads(out.getvalue()))}
    last = (errors if status == 2 and errors else lines or errors or [""])[-1]
    answer["last"] = digest.words(last.replace(str(folder), "."))
    if lists:
        answer["words"] = [line.split()[0] for line in lines]
    return answer


class _Stream(io.TextIOWrapper):
    """A stream of text and bytes, as a command's own, that stays open."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        super().__init__(self._bytes, encoding="utf-8", write_through=True)

    def close(self) -> None:
        self.flush()

    def getvalue(self) -> str:
        self.flush()
        return self._bytes.getvalue().decode()


def travel_apart(steps: Sequence[str], folder: Path) -> dict[str, Any]:
    """Travel in a fork, so that no journey knows what another one did."""
    answer = folder.with_suffix(".record")
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.chdir(folder)
            answer.write_text(json.dumps(travel(steps, folder)), "utf-8")
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    if os.waitpid(pid, 0)[1]:
        return {"steps": [{"journey": "ended before it was recorded"}], "files": {}}
    return json.loads(answer.read_text("utf-8"))


def main() -> int:
    """Travel, and compare or store."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="journeys or groups; by default all")
    parser.add_argument("--update", action="store_true", help="store what the journeys did")
    parser.add_argument("--keep", type=Path, help="folder in which their files are left")
    parser.add_argument("--tolerance", type=float, default=digest.EXACT)
    options = parser.parse_args()
    import_module("rilievo.cli")
    begun, differing, travelled = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory(prefix="rilievo-journeys-") as temporary:
        root = options.keep or Path(temporary)
        os.environ |= {"RILIEVO_CACHE": str(root / "cache"), "HF_HOME": str(root / "hub")}
        paths = [str(HERE.parents[1] / "src"), str(HERE.parent)]
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
        (root / "inputs").mkdir(parents=True)
        inputs.write_inputs(root / "inputs")
        for name, steps in journeys(options.names).items():
            absent = [module for module in needs(steps) if importlib.util.find_spec(module) is None]
            if absent:
                print(f"{name}: skipped, {absent[0]} is not installed", flush=True)
                continue
            folder = root / name.replace("/", "-")
            shutil.copytree(root / "inputs", folder)
            start, used = time.monotonic(), sum(os.times()[:4])
            record = travel_apart(steps[len(needs(steps)) :], folder)
            travelled += 1
            if not options.keep:
                shutil.rmtree(folder)
            place = EXPECTED / f"{name}.json"
            if options.update:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(_stored(record), "utf-8")
                lines = []
            elif place.exists():
                stored = json.loads(place.read_text("utf-8"))
                lines = list(digest.differences(stored, record, name, options.tolerance))
            else:
                lines = [f"{name}: nothing is stored; --update stores it"]
            differing += bool(lines)
            print(
                "\n".join(lines) or f"{name}: {'stored' if options.update else 'as before'}",
                flush=True,
            )
            wall, cpu = time.monotonic() - start, sum(os.times()[:4]) - used
            print(f"    {wall:.1f} s, {cpu:.1f} s of a core", file=sys.stderr, flush=True)
    seconds = time.monotonic() - begun
    print(f"{travelled} journeys, {differing} differ, {seconds:.0f} s", flush=True)
    return 1 if differing else 0


def _stored(record: dict[str, Any]) -> str:
    """JSON with a line for every step and for every file, or key of a file."""
    lines = ['{"steps": [']
    lines.append(",\n".join(f" {_line(step)}" for step in record["steps"]))
    lines.append('], "files": {')
    lines.append(",\n".join(f" {_line(k)}: {_line(v)}" for k, v in record["files"].items()))
    lines.append("}}")
    return "\n".join(lines) + "\n"


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


if __name__ == "__main__":
    import digest
    import inputs

    sys.exit(main())
