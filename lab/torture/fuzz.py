"""Coverage-guided fuzzing of readers with atheris, for the night: ``python -m lab.torture fuzz``.

The corpus of each reader starts with its good files and is kept, so that the next night goes on
with what this one found. Not among the parts that run when none is named: atheris is an extra of
development, ``pip install --group fuzz``.
"""

import gzip
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path

from lab.torture.findings import Findings, table_of
from lab.torture.reader import Reader
from lab.torture.settings import Settings

TARGETS: Mapping[str, tuple[str, ...]] = {
    "photo": ("photo: JPEG", "photo: PNG", "photo: TIFF", "photo: WebP", "photo: GIF"),
    "numbers": ("numbers: npy", "numbers: npz", "numbers: TIFF of floats", "numbers: PFM"),
    "mat5": ("numbers: MATLAB 5, plain",),
    "texts": ("list of ids", "YAML of a folder", "COLMAP's texts", "KITTI's calibration"),
    "pickle": ("pickle of arrays (NYUv2 normals)",),
}
"""Readers by what they are called on the command line (``--only``)."""

_INSTRUMENTED = ("rilievo", "PIL")
_PACKED = "gzip-pickle"
_SECONDS, _MEBIBYTES = 30, 4096


class Target:
    """One reader as atheris calls it: bytes in, nothing out, an exception for a defect."""

    def __init__(self, reader: Reader, folder: Path) -> None:
        self._reader, self._folder = reader, folder
        folder.mkdir(parents=True, exist_ok=True)
        reader.write(folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        names = {path.relative_to(folder).as_posix(): path for path in files}
        self._victims = [
            (path, form, path.read_bytes())
            for pattern, form in sorted(reader.victims.items())
            for name, path in names.items()
            if fnmatchcase(name, pattern)
        ]

    @property
    def seeds(self) -> Sequence[bytes]:
        """The good files as inputs: the first byte says which of them it is."""
        return [
            bytes([index]) + (gzip.decompress(good) if form == _PACKED else good)
            for index, (_, form, good) in enumerate(self._victims)
        ]

    def read(self, data: bytes) -> bool:
        """Read an input in place of a good file; False where it is refused in one line."""
        from rilievo.errors import RilievoError

        which = data[0] % len(self._victims) if data else 0
        for index, (path, form, good) in enumerate(self._victims):
            broken = gzip.compress(data[1:], 1) if form == _PACKED else data[1:]
            path.write_bytes(broken if index == which else good)
        try:
            self._reader.read(self._folder)
        except RilievoError as error:
            if not str(error).isprintable():
                raise AssertionError("a refusal that may not be shown") from error
            return False
        return True


def names() -> list[str]:
    """Names of all targets, and of their readers."""
    return [*TARGETS, *(reader for readers in TARGETS.values() for reader in readers)]


def run(settings: Settings) -> Findings:
    """Fuzz each target for its part of the time."""
    if find_spec("atheris") is None:
        needs = "fuzzing needs atheris: pip install --group fuzz"
        print(f"rilievo: {needs}", file=sys.stderr)
        return Findings(table="", bad=(needs,))
    asked = [
        reader
        for name, readers in TARGETS.items()
        for reader in readers
        if settings.asks_for(name) or settings.asks_for(reader)
    ]
    rows: list[Sequence[object]] = []
    found: list[Path] = []
    untried: list[str] = []
    for index, reader in enumerate(asked):
        seconds = (settings.end - time.monotonic()) / (len(asked) - index)
        if seconds < 1:
            untried += [f"{each} (fuzz)" for each in asked[index:]]
            break
        inputs, faults = _fuzzed(reader, int(seconds), settings)
        if inputs in ("-", "0") and not faults:
            untried.append(f"{reader} (fuzz)")
        rows.append((reader, inputs, len(faults)))
        print(f"{reader}: {inputs} inputs, {len(faults)} found", flush=True)
        found += faults
    findings = Findings(
        table=table_of(("reader", "inputs", "found"), rows),
        bad=tuple(map(str, found)),
        untried=tuple(untried),
    )
    findings.show()
    return findings


def _fuzzed(reader: str, seconds: int, settings: Settings) -> tuple[str, list[Path]]:
    """Number of inputs of this time, and those at which a reader failed."""
    folder = settings.output / "fuzz" / reader.replace("/", "-")
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    before = set(folder.glob("*-*"))
    command = [sys.executable, "-m", "lab.torture.fuzz", reader, str(corpus)]
    command += [f"-max_total_time={seconds}", f"-seed={settings.seed}", "-print_final_stats=1"]
    command += [f"-timeout={_SECONDS}", f"-rss_limit_mb={_MEBIBYTES}"]
    command += [f"-artifact_prefix={folder}/"]
    with (folder / "said.txt").open("w") as said:
        code = subprocess.run(command, stdout=said, stderr=said, check=False).returncode
    lines = (folder / "said.txt").read_text(errors="replace").splitlines()
    inputs = [line.split()[-1] for line in lines if "number_of_executed_units" in line]
    found = sorted(set(folder.glob("*-*")) - before)
    if code and not found:
        found = [folder / "said.txt"]
    return inputs[-1] if inputs else "-", found


def main() -> None:
    """Fuzz one reader in this process: ``lab.torture.fuzz READER CORPUS LIBFUZZER-OPTION...``."""
    import atheris

    with atheris.instrument_imports(include=list(_INSTRUMENTED)):
        from lab.torture.readers import all_readers

        reader = all_readers()[sys.argv[1]]
        with tempfile.TemporaryDirectory() as folder:
            target = Target(reader, Path(folder) / "in")
            for index, seed in enumerate(target.seeds):
                (Path(sys.argv[2]) / f"good-{index}").write_bytes(seed)
                target.read(seed)  # what it imports on the way is instrumented too
            atheris.Setup([sys.argv[0], *sys.argv[2:]], lambda data: target.read(data) and None)
            atheris.Fuzz()


if __name__ == "__main__":
    main()
