"""Imports are counted however they are written, and forbidden ones are found."""

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from import_graph import circles, read_edges, read_modules, shortest_cycle
from structure import judge, main

FILES = {
    "__init__.py": '"""All of it."""\nfrom importlib import import_module\n',
    "top.py": "import ours.leaf\nfrom ours.folder import one, name\nfrom .folder.two import x\n",
    "leaf.py": '"""What imports nothing."""\n',
    "lazy.py": "def f():\n    if True:\n        from ours.leaf import x\n",
    "typed.py": "import typing\nif typing.TYPE_CHECKING:\n    from ours import leaf\n",
    "named.py": 'LOAD = "ours.folder.one:load"\nKEY = "ours.key"\nPLAIN = "ours is not one"\n',
    "grouped.py": 'from x import entry_points\nentry_points(group="ours.folder")\n',
    "folder/reader.py": 'from importlib.resources import files\nfiles("ours.folder") / "x.json"\n',
    "registry.py": 'ROWS = {"a": "one", "b": "two:load"}\nf"ours.folder.{ROWS[name]}"\n',
    "above.py": 'import ours.registry\nf"ours.folder.{name}"\n',
    "told.py": 'f"ours.folder.{row.adapter}"\n',
    "table.toml": 'adapter = "two"\n',
    "two_holes.py": 'WHERE = {"one": "folder"}\nf"ours.{WHERE[name]}.{name}"\nf"ours.{kind}s"\n',
    "summed.py": 'NAMES = ["one"]\nimport_module("ours.folder." + name)\n',
    "folder/__init__.py": 'KINDS = ["two"]\nimport_module(f"{__name__}.{kind}")\n',
    "folder/one.py": "def load():\n    pass\n",
    "folder/two.py": "from . import one\n",
}


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def edges_of(folder: Path) -> set[str]:
    edges = read_edges(read_modules(folder))
    return {f"{e.source} {e.kind} {e.target}".replace("ours.", "") for e in edges}


def test_imports_of_every_kind_are_edges(tmp_path: Path) -> None:
    assert edges_of(write(tmp_path / "ours", FILES)) == {
        "top top leaf",
        "top top folder",
        "top top folder.one",
        "top top folder.two",
        "lazy lazy leaf",
        "typed type leaf",
        "named string folder.one",
        "registry string folder.one",
        "registry string folder.two",
        "above top registry",
        "above string folder.one",
        "above string folder.two",
        "told string folder.two",
        "two_holes string folder.one",
        "summed string folder.one",
        "folder string folder.two",
        "folder.two top folder.one",
    }


def test_a_circle_is_found_whole_and_by_its_shortest_way() -> None:
    pairs = {("a", "b"), ("b", "c"), ("c", "d"), ("d", "a"), ("c", "a"), ("d", "out"), ("in", "a")}
    assert circles([*pairs, ("x", "y"), ("y", "x")]) == [["a", "b", "c", "d"], ["x", "y"]]
    assert circles([("a", "b"), ("b", "c"), ("a", "c")]) == []
    assert shortest_cycle(["a", "b", "c", "d"], pairs) == ["a", "b", "c", "a"]


PACKAGE = {
    "__init__.py": '"""A core and its subpackages."""\n',
    "extensions/__init__.py": "",
    "extensions/subpackages.py": 'SUBPACKAGES = {"train": "rilievo.training.run:train"}\n'
    "if TYPE_CHECKING:\n    from rilievo.training.run import f\n",
    "io/__init__.py": "",
    "io/first.py": "def f():\n    import rilievo.io.second\n",
    "io/second.py": "from rilievo.io.first import f\n",
    "io/third.py": 'f(lambda: "rilievo.training.run:train")\n',
    "pages/__init__.py": "",
    "pages/page.py": "import rilievo.io.first\n",
    "io/fourth.py": "import rilievo.pages.page\n",
    "data/__init__.py": "",
    "data/set.py": "import rilievo.io.first\nimport rilievo.training.run\n",
    "evaluation/__init__.py": "",
    "evaluation/score.py": "import rilievo.training.run\nimport rilievo.data.set\n",
    "training/__init__.py": "",
    "training/run.py": '"""Read and learn. Then stop."""\nA = 1\ndef f():\n    pass\nB = 2\n',
    "training/task.py": '"""One. A and b."""\ndef f():\n    pass\nB = 2\ndef g():\n    pass\n',
    "training/deep/__init__.py": "",
    "training/deep/run.py": "",
}


def test_each_rule_is_judged(tmp_path: Path) -> None:
    findings = {
        item.name: item for item in judge(read_modules(write(tmp_path / "rilievo", PACKAGE)))
    }
    assert {name: finding.count for name, finding in findings.items()} == {
        "circles of modules": 1,
        "circles of neighbours": 2,
        "imports against the order of the subpackages": 3,
    }
    assert findings["imports against the order of the subpackages"].lines == [
        "rilievo.data.set -> rilievo.training.run (top, line 2)",
        "rilievo.evaluation.score -> rilievo.training.run (top, line 1)",
        "rilievo.io.third -> rilievo.training.run (string, line 1)",
    ]
    assert findings["circles of neighbours"].lines[0] == "rilievo: io, pages"


def test_the_program_fails_where_an_import_is_forbidden(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "rilievo", {"__init__.py": "", "io/__init__.py": "", "data/a.py": ""})
    assert main(["--source", str(source)]) == 0
    (source / "io" / "reader.py").write_text("def f():\n    import rilievo.data.a\n")
    assert main(["--source", str(source)]) == 1
    assert "rilievo.io.reader -> rilievo.data.a (lazy, line 2)" in capsys.readouterr().out
