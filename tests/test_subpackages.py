"""Names find all that the subpackages give."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import rilievo
from rilievo.cli import COMMANDS, CORE_COMMANDS, main
from rilievo.extensions import subpackages
from rilievo.extensions.subpackages import resolve_name
from rilievo.models import MODELS, find_card, load_model
from rilievo.models.finding import find_loader

PACKAGE = Path(rilievo.__file__).parent
SUBPACKAGES = ("cluster", "data", "evaluation", "serving", "training")
TABLES: Mapping[str, Mapping[str, str]] = {
    name: getattr(subpackages, name)
    for name in ("COMMANDS", "FINDERS", "LOADERS", "FUNCTIONS", "SERVICES")
}
PLACES = sorted({place for table in TABLES.values() for place in table.values()})


@pytest.mark.parametrize("place", PLACES)
def test_every_name_of_the_table_is_there_and_in_a_subpackage(place: str) -> None:
    assert callable(found := resolve_name(place)) or isinstance(found, Mapping)
    assert place.split(".")[1] in SUBPACKAGES


def test_every_string_of_the_table_is_tested() -> None:
    tree = ast.parse((PACKAGE / "extensions/subpackages.py").read_text(encoding="utf-8"))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    named = {text for text in texts if re.fullmatch(r"rilievo\.[\w.]+:\w+", str(text))}
    assert named == set(PLACES)


def test_every_command_is_a_file_of_the_core_or_in_the_table() -> None:
    assert {*CORE_COMMANDS, *subpackages.COMMANDS} == set(COMMANDS)
    assert not set(CORE_COMMANDS) & set(subpackages.COMMANDS)
    assert all((PACKAGE / "cli" / f"{name}.py").is_file() for name in CORE_COMMANDS)


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
    assert {name: names[name] for name in subpackages.FUNCTIONS} == subpackages.FUNCTIONS


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
        monkeypatch.setattr(subpackages, table, rest)
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
    assert "benchmarks" not in subpackages.COMMANDS
    offered = uses(capsys)
    monkeypatch.undo()
    assert "benchmarks" in subpackages.COMMANDS
    assert uses(capsys) == offered


def test_what_neither_the_table_nor_a_package_has_is_not_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for table, name in OFFERED.values():
        rest = {key: place for key, place in TABLES[table].items() if key != name}
        monkeypatch.setattr(subpackages, table, rest)
    assert main(["benchmarks"]) == 2
    assert "no command 'benchmarks'" in capsys.readouterr().err
    with pytest.raises(ValueError, match="no model 'monodepth2'"):
        find_card("monodepth2")
    with pytest.raises(ValueError, match="has an unknown loader: 'transformers'"):
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
    assert "command 'lab' from the package lab-parts cannot be loaded" in line


def test_a_folder_that_no_finder_takes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"not a checkpoint for transformers: the folder has no config\.json"
    ):
        load_model(tmp_path)
