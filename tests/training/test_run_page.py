"""Page of any training run, from tables and JSON written by hand."""

import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from rilievo.io.map_pictures import DEPTH_COLOURS, describe_depth_colours
from rilievo.training.engine.run_page import write_training_page

LOG = "step,epoch,loss,depth_loss,learning_rate\n10,1,{},0.5,0.1\n20,2,0.4,0.25,0.1\n"
VALIDATION = "step,set,abs_rel,angle\n10,a,0.3,nan\n20,a,0.2,nan\n10,b,0.4,nan\n20,b,0.1,nan\n"


def test_curves_configuration_and_doubts_are_shown(tmp_path: Path) -> None:
    # The steps to 10 were done twice, since the run was killed: the second time counts.
    (tmp_path / "log.csv").write_text(LOG.format(99) + LOG.format(0.8).split("\n", 1)[1])
    (tmp_path / "validation.csv").write_text(VALIDATION)
    (tmp_path / "config.json").write_text('{"losses": {"smooth": 0.125}, "name": "<b>"}')
    path = write_training_page(
        tmp_path, kind="Training", verdict="It fell.", counts="20 steps", warnings=("<i> flat",)
    )
    page = path.read_text("utf-8")
    # Losses in one chart, AbsRel of both sets in another; a constant and what is no number in none.
    assert page.count("<svg") == 2
    assert (
        "loss: 0.8 at step 10, 0.4 at step 20; depth loss: 0.5 at step 10, 0.25 at step 20"
    ) in page
    assert ("abs rel. a: 0.3 at step 10, 0.2 at step 20; b: 0.4 at step 10, 0.1 at step 20") in page
    assert "<dt>losses.smooth</dt><dd>0.125</dd>" in page
    assert "&lt;b&gt;" in page
    assert "&lt;i&gt; flat" in page
    assert "https:" not in page


def test_a_folder_with_nothing_but_weights_has_a_page_too(tmp_path: Path) -> None:
    page = write_training_page(tmp_path, kind="Training", verdict="Done.", counts="").read_text()
    assert "Done." in page
    assert "<svg" not in page


def test_differences_that_a_record_does_not_hold_are_passed_over(tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    for text in ('{"differences": "none"}', '{"differences": ["none", {"value": 1}]}'):
        record.write_text(text)
        page = write_training_page(tmp_path, kind="Training", verdict="Done.", counts="")
        assert "Done." in page.read_text()
        assert "Settings that differ" not in page.read_text()


def test_a_name_without_end_costs_no_more_than_another(tmp_path: Path) -> None:
    rows = "step,{}\n1,0.5\n2,0.4\n"
    (tmp_path / "log.csv").write_text(rows.format("x" * 100_000))
    page = write_training_page(tmp_path, kind="Training", verdict="Done.", counts="").read_text()
    assert "x" * 50 in page
    assert "x" * 100 not in page


def test_pictures_that_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "step-0.png").write_bytes(bytes(99))
    header = b"IHDR" + struct.pack(">IIBBBBB", 900_000, 900_000, 8, 2, 0, 0, 0)
    chunks = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    chunks += struct.pack(">I", 9) + b"IDAT" + bytes(13)
    (pictures / "step-1.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    page = write_training_page(tmp_path, kind="Training", verdict="Done.", counts="").read_text()
    assert "A frame" not in page
    Image.new("RGB", (32, 100), (9, 99, 9)).save(pictures / "step-5.png")
    page = write_training_page(tmp_path, kind="Training", verdict="Done.", counts="").read_text()
    assert "Depth at step 5" in page
    assert "Depth at step 0" not in page


@pytest.mark.parametrize("kept", ["7", "30", "[]", "null"])
def test_the_picture_of_the_weights_that_are_kept_is_shown(tmp_path: Path, kept: str) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for step in range(0, 40):
        Image.new("RGB", (8, 30), (step, 0, 0)).save(pictures / f"step-{step}.png")
    (tmp_path / "record.json").write_text(f'{{"best_step": {kept}}}')
    page = write_training_page(tmp_path, kind="Training", verdict="Done.", counts="").read_text()
    assert page.count("whose weights are kept") == page.count(
        f"Depth at step {kept}, whose weights are kept"
    )
    assert ("whose weights are kept" in page) == kept.isdigit()


def test_a_page_names_the_colours_of_its_depth_pictures(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.new("RGB", (8, 30)).save(pictures / "step-0.png")
    page = write_training_page(tmp_path, kind="Training", verdict="Done.", counts="").read_text()
    assert describe_depth_colours(DEPTH_COLOURS) in page
