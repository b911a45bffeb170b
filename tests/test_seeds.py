"""The terms of docs/seeds.md: each is in the file that the page names, with the given name."""

import re
from importlib import import_module
from operator import attrgetter
from pathlib import Path

import pytest

import rilievo
from rilievo.cli import main
from rilievo.data.datasets import DATASETS
from rilievo.evaluation.benchmarks import BENCHMARKS

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


EXPLAINED = re.findall(
    r"^\| ([^|]+) \| ([^|]+) \| `([\w/]+)\.py` `([\w.]+)` \| `rilievo ([^`]+)` \|$",
    PAGE.read_text(encoding="utf-8"),
    re.MULTILINE,
)


def test_every_word_of_the_review_is_explained() -> None:
    words = {word for word, *_ in EXPLAINED}
    assert words >= {
        *("NYUv2", "NAVI", "recall", "angular RMSE", "AdamW", "cosine", "sigmoid to depth"),
        *("reflection padding", "halved first kernel", "odometry", "KITTI splits"),
    }


@pytest.mark.parametrize(("word", "meaning", "file", "name", "command"), EXPLAINED)
def test_a_words_line_is_there_and_its_command_has_these_options(
    word: str, meaning: str, file: str, name: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    del word, meaning
    attrgetter(name)(import_module(f"rilievo.{file.replace('/', '.')}"))
    words = command.split()
    verbs = words[:2] if words[0] == "train" else words[:1]
    with pytest.raises(SystemExit):
        main([*verbs, "--help", "--all"])
    options = set(re.findall(r"(?<!\w)--?[\w.-]+", capsys.readouterr().out))
    assert {option for option in words if option.startswith("-")} <= options
    if "-b" in words:
        assert words[words.index("-b") + 1] in BENCHMARKS
    if words[0] == "datasets":
        assert words[1] in DATASETS
