"""A model whose file is not inside the package: found where it was put, else one line."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from rilievo.errors import ModelError
from rilievo.models import MODELS, load_model
from rilievo.models.default import embedded
from rilievo.models.default.embedded_cards import RENDERED
from rilievo.models.load_options import LoadOptions

# A name that no folder of this checkout has.
CARD = replace(MODELS[RENDERED], name="rilievo/lost")


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The one that the variable names, and the one in the cache."""
    named, cache = tmp_path / "named", tmp_path / "cache"
    named.mkdir()
    (cache / "weights").mkdir(parents=True)
    monkeypatch.setenv("RILIEVO_WEIGHTS", str(named))
    monkeypatch.setenv("RILIEVO_CACHE", str(cache))
    return named, cache / "weights"


def test_the_named_folder_comes_before_the_cache(folders: tuple[Path, Path]) -> None:
    named, cache = folders
    assert embedded.find_file(CARD) is None
    (cache / "lost.onnx").touch()
    assert embedded.find_file(CARD) == cache / "lost.onnx"
    (named / "lost.onnx").touch()
    assert embedded.find_file(CARD) == named / "lost.onnx"


def test_without_a_file_one_line_says_where_to_take_it_from_and_where_to_put_it(
    folders: tuple[Path, Path],
) -> None:
    with pytest.raises(ModelError) as caught:
        embedded.load_separate(CARD, LoadOptions())
    said = str(caught.value)
    assert "\n" not in said
    assert "model 'rilievo/lost' is not inside the package" in said
    for words in ("weights/small-rendered.onnx", str(folders[1]), "RILIEVO_WEIGHTS", "its path"):
        assert words in said


def test_another_network_under_its_name_is_refused(folders: tuple[Path, Path]) -> None:
    inside = Path(embedded.__file__).parent / "small.onnx"
    shutil.copy(inside, folders[0] / "small-rendered.onnx")
    with pytest.raises(
        ModelError, match="should be 'rilievo/small-rendered', but its metadata name"
    ):
        load_model("rilievo/small-rendered")


def test_a_file_that_cannot_be_read_is_one_line(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, *rest: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    (folders[0] / "lost.onnx").touch()
    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(ModelError, match=r"lost\.onnx: cannot be read: Permission denied"):
        embedded.load_separate(CARD, LoadOptions())


def test_it_has_no_revisions() -> None:
    with pytest.raises(ModelError, match="is one file, so it has no '@main'"):
        load_model("rilievo/small-rendered@main")
