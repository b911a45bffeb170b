"""Records and logs of runs that are broken: one line, or a page without them."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lab.making.distil.teachers import read_teachers
from rilievo.errors import InputError
from rilievo.training.engine.run_folder import read_log_rows
from rilievo.training.engine.run_page import write_training_page
from rilievo.training.video.frames.targets import FramePlace
from rilievo.training.video.pair_motions import MotionEstimate, read_estimate, write_estimate

GOOD = MotionEstimate(
    motions={(FramePlace(0, 1), FramePlace(0, 2)): np.eye(4)},
    corners={FramePlace(0, 1): np.array([[3.0, 4, 1.5], [9, 4, 2.5]])},
)
LONG = "9" * 200_000


def arrays(path: Path) -> dict[str, np.ndarray]:
    write_estimate(path, GOOD)
    with np.load(path) as stored:
        return dict(stored)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("places", np.zeros(4)),
        ("places", np.full((1, 4), np.nan)),
        ("places", np.zeros((2, 4), np.int64)),
        ("source_T_target", np.eye(3)[None]),
        ("corner_counts", np.zeros((1, 2), np.int64)),
        ("corner_counts", np.zeros((1, 3))),
        ("corners", np.array("x")),
        ("trust", np.zeros(3)),
        ("trust", np.array("x")),
    ],
)
def test_motions_of_other_shapes_are_refused(name: str, value: np.ndarray, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **{**arrays(tmp_path / "x.npz"), name: value})  # pyright: ignore
    with pytest.raises(InputError, match=r"x\.npz: is not a valid file of motions: "):
        read_estimate(tmp_path / "x.npz")


@pytest.mark.parametrize("kind", ["noise", "npy", "cut", "text", "empty"])
def test_motions_that_are_no_archive_are_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    arrays(path)
    whole = path.read_bytes()
    match kind:
        case "noise":
            path.write_bytes(b"PK\3\4" + bytes(99))
        case "npy":
            with path.open("wb") as file:
                np.save(file, np.eye(4))
        case "cut":
            path.write_bytes(whole[: len(whole) // 2])
        case "text":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("places.npy", "\x93NUMPY")
        case _:
            path.write_bytes(b"")
    with pytest.raises(InputError, match=r"x\.npz: "):
        read_estimate(path)


@pytest.mark.parametrize("content", [f"step,loss\n1,{LONG}\n".encode(), b"step\n\xff\n"])
def test_a_log_that_is_no_table_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"log\.csv: "):
        read_log_rows(tmp_path, "log.csv")
    (tmp_path / "log.csv").write_bytes(b"")
    assert read_log_rows(tmp_path, "log.csv") == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("log.csv", f"step,loss\n1,0.5\n2,{LONG}\n".encode()),
        ("log.csv", b"step,loss\n1,0.5,7,8\n2,0.25\n"),
        ("log.csv", b"\xff\xfe"),
        ("record.json", b"{"),
        ("record.json", b"[" * 100_000),
        ("config.json", b"\xff"),
        ("config.json", b""),
    ],
)
def test_what_is_broken_is_left_out_of_the_page(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    page = write_training_page(tmp_path, kind="Training", verdict="Done.", counts="")
    assert "Done." in page.read_text("utf-8")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    for name in ("teacher.json", "log.csv"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match=r"teacher\.json: this is a pipe"):
        read_teachers(tmp_path)
    with pytest.raises(InputError, match=r"log\.csv: this is a pipe"):
        read_log_rows(tmp_path, "log.csv")
