"""Try the core where the other subpackages do not exist, with its dependencies alone.

Usage: python tools/try_core.py [--commands] [PYTEST_ARGUMENTS]

The files that git tracks are copied to a temporary folder, without the folders of the subpackages.
There ``predict``, ``measure``, ``models`` and ``verify`` run on a photograph, from the command line
and from Python, with no packages but the core's; and then the core's tests, those of the folders of
``tests`` that are named like a folder of the core, with the packages of the dependency group
``test-core`` and of the extra ``video`` beside those. Tests that need another extra skip themselves
(tests/support/without_extras.py). ``--commands`` leaves the tests out.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(1, str(Path(__file__).parents[1] / "tests"))

from structure import ROOT, SUBPACKAGES

from support.core_alone import link_core

PHOTOGRAPH = """
import numpy, PIL.Image
pixels = numpy.random.default_rng(0).integers(0, 255, (6, 8, 3), numpy.uint8)
PIL.Image.fromarray(pixels).resize((640, 480)).save("photo.jpg")
"""
PYTHON = """
import rilievo
prediction = rilievo.predict("photo.jpg", known=[(320, 240, 2.35)])
print(prediction.measure((120, 200), (310, 195)))
prediction.save("python/photo", "colour,png16,npz,glb,ply")
"""
USES: Sequence[tuple[str, Sequence[str]]] = (
    ("a photograph is made", ("-c", PHOTOGRAPH)),
    ("predict", ("-m", "rilievo", "predict", "photo.jpg", "-o", "out", "--save", "all")),
    ("measure", ("-m", "rilievo", "measure", "photo.jpg", "9,9", "90,60", "--known", "8,8,2")),
    ("models", ("-m", "rilievo", "models")),
    ("verify", ("-m", "rilievo", "verify", "out")),
    ("--help", ("-m", "rilievo", "--help")),
    ("rilievo.predict", ("-c", PYTHON)),
)
"""Uses of the core, in an order in which each finds what it needs."""


def copy_tracked(to: Path, *, subpackages: bool = True) -> None:
    """Copy the files that git tracks, with or without those of the subpackages and their tests."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (subpackages or not is_of_a_subpackage(name)) and (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, to / name)


def is_of_a_subpackage(name: str) -> bool:
    """Whether a file of the repository is part of a subpackage, or of its tests."""
    match = re.match(r"(?:src/rilievo|tests)/(\w+)/", name)
    return match is not None and match[1] in SUBPACKAGES


def folders_of_tests(copy: Path) -> Iterator[str]:
    """Folders of tests that are named like a folder of the core."""
    for folder in sorted((copy / "src" / "rilievo").iterdir()):
        is_part = folder.name not in {*SUBPACKAGES, "__pycache__"}
        if is_part and (copy / "tests" / folder.name).is_dir():
            yield f"tests/{folder.name}"


def run(arguments: Sequence[str], *, copy: Path, packages: Path, folder: Path) -> int:
    """Run Python with the core and these packages, and nothing else; the exit code."""
    places = (copy / "src", copy, packages)
    return subprocess.run(
        # -S: nothing of the environment that this program runs in.
        [sys.executable, "-S", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places))},
    ).returncode


def main() -> int:
    """Try the commands, then the tests; 1 if anything failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--commands", action="store_true", help="leave the tests out")
    given, more = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as temporary:
        copy, core, testing, folder = (
            Path(temporary, name) for name in ("copy", "core", "testing", "folder")
        )
        for path in (copy, core, testing, folder):
            path.mkdir()
        copy_tracked(copy, subpackages=False)
        with (copy / "src" / "rilievo" / "extensions" / "registry.py").open(
            "a", encoding="utf-8"
        ) as table:
            table.write("\nFINDERS = {}\n")  # they are asked for every name that is not listed
        link_core(core)
        failed = False
        for name, arguments in USES:
            code = run(arguments, copy=copy, packages=core, folder=folder)
            print(f"{name}: {'ok' if code == 0 else 'FAILED'}", flush=True)
            failed = failed or code != 0
        if not given.commands:
            link_core(testing, "test-core", "video")
            arguments = (
                "-m",
                "pytest",
                "-q",
                "-p",
                "support.without_extras",
                "-p",
                "no:cacheprovider",
            )
            which = (*arguments, *more, *folders_of_tests(copy))
            failed |= run(which, copy=copy, packages=testing, folder=copy) != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
