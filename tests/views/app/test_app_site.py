"""Uploads are ours or refused, and errors become one line."""

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app_scenes import WallModel, make_store
from rilievo.errors import InputError
from rilievo.types import DepthKind
from rilievo.views.app.options import AppOptions
from rilievo.views.app.site import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    (uploads / "photo.jpg").write_bytes(bytes(2000))
    (uploads / "link.jpg").symlink_to("/etc/passwd")
    store = make_store(tmp_path / "answers", WallModel(DepthKind.METRIC))
    return Site(
        options=AppOptions(max_megabytes=0.001),
        listed=(),
        store=store,
        uploads=uploads,
        pool=ThreadPoolExecutor(1),
        make_room=lambda: None,
    )


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/etc/passwd", "not an uploaded file"),
        ("{uploads}/../answers", "not an uploaded file"),
        ("{uploads}/link.jpg", "not an uploaded file"),
        ("{uploads}/gone.jpg", "was deleted"),
        ("{uploads}/photo.jpg", r"above the limit of 0\.001 MB"),
        (None, "no file was given"),
    ],
)
def test_only_what_was_uploaded_is_opened(site: Site, path: str | None, why: str):
    given = None if path is None else {"path": path.replace("{uploads}", str(site.uploads))}
    with pytest.raises(InputError, match=why):
        site.uploaded(given)


def test_what_goes_wrong_becomes_one_line_and_a_defect_is_written_down(
    site: Site, caplog: pytest.LogCaptureFixture
):
    def fail(error: Exception) -> Any:
        def act() -> None:
            raise error

        return site.told(act, str.upper)

    assert fail(InputError("a: is\nbroken")) == "A: IS\\NBROKEN"
    assert "TOO LITTLE MEMORY" in fail(MemoryError())
    with caplog.at_level(logging.ERROR, "rilievo.app"):
        assert fail(KeyError("x")).startswith("A DEFECT OF RILIEVO")
    assert "KeyError" in caplog.text
    assert site.told(lambda: 7, str.upper) == 7
