"""Examples travel: they are in the wheel, and a command writes them."""

import json
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from hatchling.builders.wheel import WheelBuilder

from rilievo.cli import main
from rilievo.cli.example import EXAMPLES

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_written_twice_and_never_over_another_file(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = Path(EXAMPLES[name])
    assert main(["example", name]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{file}: ")
    assert file.read_bytes() == (ROOT / "examples" / file).read_bytes()
    assert main(["example", name]) == 0
    file.write_text("mine")
    assert main(["example", name]) == 2
    assert "already exists with other content" in capsys.readouterr().err
    assert file.read_text() == "mine"
    assert main(["example", name, "--overwrite"]) == 0
    Path("folder").mkdir()
    assert main(["example", name, "-o", "folder"]) == 0
    assert main(["example", name, "-o", "own.txt"]) == 0
    assert Path("folder", file).read_bytes() == file.read_bytes() == Path("own.txt").read_bytes()


def test_without_a_name_all_are_listed_with_what_they_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["example"]) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    assert [line.split()[:2] for line in lines] == [[*pair] for pair in EXAMPLES.items()]
    assert all(len(line.split()) > 5 for line in lines)
    assert main(["example", "blendr"]) == 2
    assert "did you mean 'blender'" in capsys.readouterr().err


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "notebook"])
def test_its_usage_names_the_file_that_is_written(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["example", name]) == 0
    usage = capsys.readouterr().out.splitlines()[1]
    assert usage.startswith("usage: ")
    assert EXAMPLES[name] in usage.split()


def test_an_installed_wheel_writes_them(work: Path) -> None:
    """The wheel, unpacked: no checkout is near it."""
    [wheel] = WheelBuilder(str(ROOT)).build(directory=str(work), versions=["standard"])
    with ZipFile(wheel) as packed:
        packed.extractall(work / "site")
    code = "from rilievo.cli import main; raise SystemExit(main(['example', 'blender']))"
    place = {"PYTHONPATH": str(work / "site")}
    done = subprocess.run([sys.executable, "-c", code], cwd=work, env=place, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert (
        Path("blender_import.py").read_bytes()
        == (ROOT / "examples" / "blender_import.py").read_bytes()
    )
    inside = {path.name for path in (work / "site" / "rilievo" / "examples").iterdir()}
    assert inside == set(EXAMPLES.values())


def test_the_program_for_colmap_says_how_it_is_used_and_runs_by_itself(work: Path) -> None:
    assert main(["example", "colmap"]) == 0
    command = [sys.executable, "colmap_priors.py"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Usage: python colmap_priors.py MODEL IMAGES OUTPUT" in done.stderr


def test_the_notebook_is_one(work: Path) -> None:
    assert main(["example", "notebook"]) == 0
    assert json.loads(Path("first_look.ipynb").read_text())["nbformat"] == 4
