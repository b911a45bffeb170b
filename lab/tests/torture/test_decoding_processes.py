"""Photographs and videos of the campaign's table, decoded in the processes of a server."""

import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from io import BytesIO
from pathlib import Path

import pytest

from lab.torture.readers import all_readers
from rilievo.io.photographs.photo import read_photo
from rilievo.io.videos.video import VideoReader
from rilievo.options.photo_options import Refine
from rilievo.serving.server.decoding.decoder_pool import Decoders
from rilievo.serving.server.decoding.messages import NamedImage, can_fork_and_pass_files
from rilievo.serving.server.uploads import Upload

pytestmark = pytest.mark.skipif(
    not can_fork_and_pass_files(), reason="threads decode on this system"
)
READERS = all_readers()
_OTHERS = ("video: its sound", "video: folder of frames")
"""Rows whose files servers do not decode: they copy packets of sound."""


@pytest.fixture(scope="module")
def pool() -> Iterator[Decoders]:
    decoders = Decoders(max_pixels=6_000_000, idle=1)
    yield decoders
    decoders.close()


def _files(name: str, folder: Path) -> list[Path]:
    READERS[name].write(folder)
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [
        path
        for path in paths
        if any(
            fnmatchcase(path.relative_to(folder).as_posix(), pattern)
            for pattern in READERS[name].victims
        )
    ]


@pytest.mark.parametrize("name", [name for name in READERS if name.startswith("photo: ")])
def test_a_photograph_is_decoded_inside(name: str, pool: Decoders, tmp_path: Path) -> None:
    for path in _files(name, tmp_path):
        content = path.read_bytes()
        photo = pool.read_photo(
            Upload(BytesIO(content), name="photo"),
            own_depth=True,
            reading=Refine().reading,
            cpu_seconds=20,
            deadline=time.monotonic() + 60,
        )
        assert photo == read_photo(NamedImage(content, "photo"))


@pytest.mark.parametrize(
    "name", [name for name in READERS if name.startswith("video: ") and name not in _OTHERS]
)
def test_a_video_is_decoded_inside(name: str, pool: Decoders, tmp_path: Path) -> None:
    for path in _files(name, tmp_path):
        here, there = VideoReader(path), pool.open_video(path)
        try:
            for field in ("size", "rate", "time_base", "origin", "frame_estimate", "notes"):
                assert getattr(there, field) == getattr(here, field)
            assert list(there) == list(here)
            assert there.fault == here.fault
        finally:
            there.close()
