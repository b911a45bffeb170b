"""Figures for papers, and the pictures of a comparison, from evaluations of the toy dataset."""

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from rilievo.cli import main
from rilievo.errors import OptionError
from rilievo.evaluation.tables.comparing import runs_by_name
from rilievo.evaluation.views.paper_figure import write_paper_figure
from support.looked_at import NAMES

TITLES = ["Photograph", "True depth", "far", "near", "far, error", "near, error"]


def test_a_figure_has_a_row_an_image_and_its_text_is_text(runs: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "figure.svg"
    chosen = write_paper_figure(runs, path)
    svg = path.read_text("utf-8")
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert chosen == NAMES
    assert texts[: len(TITLES)] == TITLES
    # Pictures of three images, and a bar for each of two palettes.
    assert svg.count("<image") == 3 * len(TITLES) + 2
    # Rows of toy depth go from 1 m to 4 m, one farther each image; the scale stands on the truth.
    assert len([text for text in texts if re.fullmatch(r"[\d.]+–[\d.]+ m", text)]) == 3


def test_a_figure_is_as_wide_as_a_page_of_two_columns(runs: list[Path], tmp_path: Path) -> None:
    assert main(["report", *map(str, runs), "--paper", str(tmp_path / "a.png"), "--rows", "a"]) == 0
    with Image.open(tmp_path / "a.png") as image:
        assert image.width == 2070
    assert main(["report", *map(str, runs), "--paper", str(tmp_path / "a.pdf"), "--rows", "a"]) == 0
    pdf = (tmp_path / "a.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    # A font, which curves drawn for letters would need none of.
    assert b"/FontFile2" in pdf


def test_unknown_images_and_endings_are_refused(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"no image 'd'"):
        write_paper_figure(runs, tmp_path / "f.pdf", images=["d"])
    with pytest.raises(OptionError, match=r"f\.gif.*\.pdf"):
        write_paper_figure(runs, tmp_path / "f.gif")
    assert list(tmp_path.iterdir()) == []


def test_a_comparison_opens_with_the_median_and_then_shows_where_models_differ(
    runs: list[Path], tmp_path: Path
) -> None:
    page = tmp_path / "comparison.html"
    assert main(["compare", *map(str, runs), "-o", str(page)]) == 0
    text = page.read_text("utf-8")
    # The errors are 0.1 and 0.2 in the first image, half and a third of that in the others.
    # The second is in the middle; the other two follow by how far the models are apart.
    names = re.findall(r"<h2>(.*?)</h2>\n<p class=\"numbers\">", text)
    assert names == [NAMES[1], NAMES[0], NAMES[2]]
    assert re.findall(r'data-label="(.*?)"', text) == [
        "mean of the runs",
        "apart by",
        "apart by",
    ]
    assert text.count("<img") == 3 * len(TITLES)
    assert "https:" not in text


def test_a_comparison_without_its_dataset_has_no_pictures_and_says_so(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, away = tmp_path / "comparison.html", tmp_path / "away"
    assert main(["compare", *map(str, runs), "--root", str(away), "-o", str(page)]) == 0
    assert "away" in capsys.readouterr().err
    assert "<img" not in page.read_text("utf-8")


def test_the_titles_of_two_runs_of_one_model_name_their_folders_and_do_not_overlap(
    runs: list[Path], tmp_path: Path
) -> None:
    copies = [Path(shutil.copytree(runs[0], tmp_path / name)) for name in ("plain", "mirrored")]
    for copied in copies:
        path = copied / "evaluation.json"
        record = json.loads(path.read_text("utf-8"))
        record["made_by"]["model"] = "rilievo/small"
        path.write_text(json.dumps(record), "utf-8")

    write_paper_figure(copies, tmp_path / "figure.svg", images=["a"])
    svg = (tmp_path / "figure.svg").read_text("utf-8")
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    titles = " ".join(texts[: texts.index("far")])
    assert " on " not in titles
    for name, run in runs_by_name(copies).items():
        assert run.made_by.model == "rilievo/small"
        assert f"{name}, error" in titles
    panel_width = 6.9 / len(TITLES)
    assert all(0.055 * len(text) < panel_width for text in texts[: texts.index("far")])
