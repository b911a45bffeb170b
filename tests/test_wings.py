"""Names find all that the wings give, and the house says in one line which part is absent."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo import wings
from rilievo.cli import COMMANDS, COMMANDS_OF_HOUSE, commands, main
from rilievo.errors import MissingPartError
from rilievo.models import MODELS, find_card, load_model
from rilievo.models.finding import find_loader
from rilievo.plugins import load_of_wing

PACKAGE = Path(rilievo.__file__).parent
WINGS = ("cluster", "data", "evaluation", "serving", "training")
TABLES: Mapping[str, Mapping[str, str]] = {
    name: getattr(wings, name)
    for name in ("COMMANDS", "FINDERS", "LOADERS", "FUNCTIONS", "SERVICES")
}
PLACES = sorted({place for table in TABLES.values() for place in table.values()})


@pytest.mark.parametrize("place", PLACES)
def test_every_name_of_the_table_is_there_and_in_a_wing(place: str) -> None:
    assert callable(found := load_of_wing(place, "")) or isinstance(found, Mapping)
    assert place.split(".")[1] in WINGS


def test_every_string_of_the_table_is_tested() -> None:
    tree = ast.parse((PACKAGE / "wings.py").read_text(encoding="utf-8"))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert {text for text in texts if str(text).startswith("rilievo.")} == set(PLACES)


def test_every_command_is_a_file_of_the_house_or_in_the_table() -> None:
    assert {*COMMANDS_OF_HOUSE, *wings.COMMANDS} == set(COMMANDS) == set(commands())
    assert not set(COMMANDS_OF_HOUSE) & set(wings.COMMANDS)
    assert all((PACKAGE / "cli" / f"{name}.py").is_file() for name in COMMANDS_OF_HOUSE)


def test_type_checkers_see_the_public_names() -> None:
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    names = {
        each.asname: f"{node.module}:{each.name}"
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for each in node.names
    }
    values = {ast.unparse(node.target) for node in stub.body if isinstance(node, ast.AnnAssign)}
    assert set(names) | values == set(rilievo.__all__)
    assert {name: names[name] for name in wings.FUNCTIONS} == wings.FUNCTIONS


OFFERED = {
    "rilievo.commands": ("COMMANDS", "benchmarks"),
    "rilievo.finders": ("FINDERS", "trained"),
    "rilievo.loaders": ("LOADERS", "transformers"),
}


@pytest.fixture
def moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package that offers entries of the table, which lacks them meanwhile."""
    facts = tmp_path / "site" / "lab_parts-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-parts\nVersion: 1.0\n")
    lines = []
    for group, (table, name) in OFFERED.items():
        lines += [f"[{group}]", f"{name} = {TABLES[table][name]}"]
        rest = {key: place for key, place in TABLES[table].items() if key != name}
        monkeypatch.setattr(wings, table, rest)
    (facts / "entry_points.txt").write_text("\n".join(lines))
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path / "site")
        yield


def uses(capsys: pytest.CaptureFixture[str]) -> tuple[object, ...]:
    """Answers of a command, a finder and a loader."""
    assert main(["benchmarks"]) == 0
    assert main(["help"]) == 0
    said = capsys.readouterr().out
    return said, find_card("monodepth2"), find_loader(MODELS["zoedepth/nyu"])


def test_an_entry_point_works_as_the_table_does(
    moved: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "benchmarks" not in wings.COMMANDS
    offered = uses(capsys)
    monkeypatch.undo()
    assert "benchmarks" in wings.COMMANDS
    assert uses(capsys) == offered


def test_what_neither_the_table_nor_a_package_has_is_not_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for table, name in OFFERED.values():
        rest = {key: place for key, place in TABLES[table].items() if key != name}
        monkeypatch.setattr(wings, table, rest)
    assert main(["benchmarks"]) == 2
    assert "no command 'benchmarks'" in capsys.readouterr().err
    with pytest.raises(ValueError, match="no model 'monodepth2'"):
        find_card("monodepth2")
    with pytest.raises(ValueError, match="names a loader that is not known: 'transformers'"):
        find_loader(MODELS["zoedepth/nyu"])


def test_a_command_of_a_package_that_cannot_be_loaded_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = tmp_path / "lab_parts-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-parts\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[rilievo.commands]\nlab = no_such_lab:main\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["lab"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "command 'lab' of the package lab-parts cannot be loaded" in line


ABSENT = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
import rilievo
from rilievo.cli import main
def told(*words):
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(words)
    return [code, out.getvalue(), err.getvalue()]
def refused(work):
    try:
        work()
    except rilievo.RilievoError as error:
        return [type(error).__name__, isinstance(error, ImportError), str(error)]
print(json.dumps({
    "help": told("--help"),
    "evaluate": told("evaluate", "--help"),
    "predict": told("predict", "photo.jpg", "-o", "out", "--save", "npy"),
    "ray": told("predict", "photo.jpg", "-o", "ray", "--ray", "local"),
    "address": told("predict", "s3://bucket/photo.jpg", "-o", "far"),
    "workers": told("predict", "photo.jpg", "photo.jpg", "-o", "two", "--workers", "2"),
    "models": told("models", "--all"),
    "transformers": told("predict", "photo.jpg", "-o", "out", "-m", "zoedepth/nyu"),
    "run": told("predict", "photo.jpg", "-o", "out", "-m", "run"),
    "completion": told("completion", "bash"),
    "function": refused(lambda: rilievo.evaluate),
    "table": refused(lambda: rilievo.DATASETS),
}))
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list]:
    """Answers of a copy of rilievo without the folders of the wings."""
    root, folder = tmp_path_factory.mktemp("house"), tmp_path_factory.mktemp("folder")
    (root / "rilievo").mkdir()
    for path in PACKAGE.iterdir():
        if path.name not in (*WINGS, "__pycache__"):
            (root / "rilievo" / path.name).symlink_to(path)
    Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(folder / "photo.jpg")
    (folder / "run").mkdir()
    (folder / "run" / "config.json").write_text('{"format": "rilievo-probe/1"}')
    done = subprocess.run(
        [sys.executable, "-c", ABSENT],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(root), "RILIEVO_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", ["help", "predict", "workers", "models", "completion"])
def test_the_house_works_without_wings(alone: dict[str, list], name: str) -> None:
    assert alone[name][0] == 0, alone[name]


def test_help_and_completion_name_the_commands_that_are_there(alone: dict[str, list]) -> None:
    listed = [line.split()[0] for line in alone["help"][1].splitlines() if line.startswith("  ")]
    assert [name for name in listed if name != "rilievo"] == [
        name for name in COMMANDS if name in COMMANDS_OF_HOUSE
    ]
    assert "predict) flags=" in alone["completion"][1]
    assert "evaluate)" not in alone["completion"][1]


@pytest.mark.parametrize(
    ("name", "what", "part"),
    [
        ("evaluate", "`rilievo evaluate`", "evaluation"),
        ("ray", "--ray", "cluster"),
        ("address", "an input or output at an address", "cluster"),
        ("transformers", "model 'zoedepth/nyu'", "training"),
        ("run", "a run of rilievo train", "training"),
    ],
)
def test_what_needs_an_absent_wing_is_one_line(
    alone: dict[str, list], name: str, what: str, part: str
) -> None:
    code, _, said = alone[name]
    assert code == 2, said
    [line] = said.splitlines()
    assert what in line
    assert f"needs the part '{part}', which this copy of rilievo does not have" in line


@pytest.mark.parametrize(
    ("name", "what", "part"),
    [("function", "rilievo.evaluate", "evaluation"), ("table", "rilievo.DATASETS", "data")],
)
def test_a_public_name_of_an_absent_wing_says_so(
    alone: dict[str, list], name: str, what: str, part: str
) -> None:
    error, is_import_error, said = alone[name]
    assert (error, is_import_error) == ("MissingPartError", True)
    assert said.startswith(f"{what} needs the part '{part}'")


def test_a_fault_inside_a_wing_is_not_taken_for_its_absence() -> None:
    with pytest.raises(AttributeError):
        load_of_wing("rilievo.evaluation.evaluating:nothing", "it")
    with pytest.raises(MissingPartError, match="it needs the part 'garden'"):
        load_of_wing("rilievo.garden.roses:pick", "it")


def test_a_folder_that_no_finder_takes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"not a checkpoint: the folder has no config\.json"):
        load_model(tmp_path)
