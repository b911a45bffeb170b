"""Folders that networks are kept in, by the environment and for users without a home."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from rilievo import predict
from rilievo.cli import main
from rilievo.errors import ModelError
from rilievo.models.catalogue.download import cache_folder
from rilievo.models.network_files import cache_directory

FOLDERS = [
    (cache_directory, "RILIEVO_CACHE", "rilievo"),
    (cache_folder, "HF_HUB_CACHE", "huggingface/hub"),
]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RILIEVO_CACHE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


@pytest.mark.parametrize(("folder", "variable", "below"), FOLDERS)
def test_a_named_folder_goes_before_the_users_cache_and_that_before_home(
    folder: Callable[[], Path],
    variable: str,
    below: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert folder() == Path("/home/somebody/.cache") / below
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert folder() == Path("/caches") / below
    monkeypatch.setenv(variable, "/named")
    assert folder() == Path("/named")


@pytest.mark.parametrize("folder", [cache_directory, cache_folder])
def test_a_user_without_a_home_is_told_what_to_set(
    folder: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(ModelError, match=r"no home folder, .* (RILIEVO_CACHE|HF_HOME)"):
        folder()


def test_predicting_writes_nothing_to_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RILIEVO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    Image.new("RGB", (64, 48), "grey").save(tmp_path / "grey.png")
    predict(tmp_path / "grey.png", model="rilievo/small")
    command = ["predict", str(tmp_path / "grey.png"), "--model", "rilievo/small"]
    assert main([*command, "-o", str(tmp_path / "out")]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"grey.png", "out"}
    files = {path.name for path in (tmp_path / "out").iterdir() if path.is_file()}
    assert files == {"grey.depth.png", "grey.json"}
