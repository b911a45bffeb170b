"""Figures of size that neither layout nor comments move, and ceilings that only fall."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from ceilings import (
    excesses,
    help_figures,
    lowered,
    other_bytes,
    script_tokens,
    scripts,
    source_figures,
)
from source_tokens import measure

SOURCE = '''"""Text of the module."""
import os  # a comment

LIMIT = {"a": 1.5e-3}
if TYPE_CHECKING:
    import numpy


@dataclass(frozen=True)
class Shape:
    """Text."""

    width: int = 3

    @property
    def area(self) -> float:
        """Text."""
        if self.width <= 0x1F:
            raise ValueError(f"{self.width} \é is '1'")
        return self.width ** 2


def _own(): ...
def scaled(é, *, by=2): return é//by
'''.encode()
PASTED = SOURCE.replace(b"    ", b"\t").replace(b"# a comment", b"").replace(b" <= ", b"<=")


@pytest.mark.parametrize(
    "source", [SOURCE, PASTED + b"\n# the end", SOURCE.replace(b"\n", b"\r\n")]
)
def test_tokens_are_counted_by_kind_whatever_their_layout(source: bytes) -> None:
    size = measure(source)
    # if self . width <= 31 :; return self . width ** 2; ...; return é // by
    assert size.logic == 7 + 6 + 1 + 4
    # import, constant, import below TYPE_CHECKING; class with its field; property; raise;
    # _own; scaled
    assert size.tokens - size.logic == 2 + 7 + 5 + (10 + 5) + (2 + 8) + 5 + 5 + 12
    assert (size.functions, size.classes) == (("scaled",), ("Shape",))


def test_tokens_of_a_script_are_counted_without_comments(tmp_path: Path) -> None:
    script = """// a comment
    /* another: const */ export const area = (side) => side ** 2; // the end
    const text = `${area(3)} of "${name}"`, more = 'it\\'s';
    """
    # export const area = ( side ) => side ** 2 ; const text = "" , more = "" ; area ( 3 ) name
    assert script_tokens(script) == 12 + 9 + 5
    for name in ("own.js", "built/app.js", "node_modules/x.js"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(script)
    assert [file.name for file in scripts([tmp_path])] == ["own.js"]


def test_class_names_of_two_modules_are_counted(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("class View: ...\nclass _Own: ...\nclass Frame: ...\n")
    (tmp_path / "two.py").write_text("class View: ...\nclass _Own: ...\ndef Frame(): ...\n")
    figures = source_figures(tmp_path)
    assert (figures["class_names_twice"], figures["public_names"]) == (1, 4)


def test_texts_that_are_not_python_are_counted_in_bytes(tmp_path: Path) -> None:
    contents = {"a.js": b"12345", "b.html": b"123", "c.py": b"1", "d.md": b"1", "e.onnx": b"1\0"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    assert other_bytes([tmp_path]) == 8


def test_options_are_rows_of_a_help_and_flags_different_names() -> None:
    one = "usage: x [OPTIONS]\n\n  -o, --output FILE  See --other.\n      --fov DEG\n  -h, --help\n"
    two = "options:\n  --output FILE\n                  --fov in the middle of a text\n"
    assert help_figures({"one": one, "two": two}) == {"options": 3, "flags": 2}


def test_a_figure_above_its_ceiling_or_without_one_is_described() -> None:
    figures = {"tokens": 12, "logic": 10, "public_names": 3}
    lines = [*excesses(figures, {"tokens": 10, "logic": 10})]
    assert [line.partition(":")[0] for line in lines] == ["tokens", "public names"]
    assert "12, ceiling 10: remove 2" in lines[0]


def test_ceilings_are_lowered_and_never_raised() -> None:
    text = "# tokens = 99\ntokens = 12\nlogic = 10\nlater = 3\n"
    assert lowered(text, {"tokens": 9, "logic": 11}) == text.replace("12", "9")
