"""The words of docs/seeds.md: each stands in the file that the page names, which has the name."""

import re
from importlib import import_module
from pathlib import Path

import pytest

import rilievo

PAGE = Path(__file__).parents[1] / "docs" / "seeds.md"
PACKAGE = Path(rilievo.__file__).parent
ROW = re.compile(r"^\| ([^|`]+) \| `([\w/]+)\.py` \| `(\w+)` \|$", re.MULTILINE)
WORDS = ROW.findall(PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("word", "file", "name"), WORDS)
def test_the_word_is_in_the_file_that_has_the_name(word: str, file: str, name: str) -> None:
    source = " ".join((PACKAGE / f"{file}.py").read_text(encoding="utf-8").split())
    assert word.lower() in source.lower()
    module = import_module(f"rilievo.{file.replace('/', '.')}")
    assert callable(getattr(module, name))
    assert getattr(module, name).__module__ == module.__name__


def test_every_article_has_its_words() -> None:
    words = [word for word, _, _ in WORDS]
    assert len(words) == len(set(words)) >= 25
    assert {"DepthCNN", "AdaBins", "ResnetEncoder", "minimum reprojection", "SUN RGB-D"} <= {*words}
