"""The page of ``rilievo report``: whole, escaped, and of use without a script."""

import base64
import hashlib
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.cli import main
from rilievo.errors import InputError, OptionError, OutputError
from rilievo.evaluation.views.gallery_page import write_gallery
from rilievo.evaluation.views.view_options import SourceOptions
from rilievo.io.verification import verify
from rilievo.prediction.saving import save
from support.looked_at import LOADER, NAMES, true_depth, write_results, write_run
from support.predictions import prediction
from support.toy_dataset import write_toy


class Reader(HTMLParser):
    """Elements with their attributes, and texts, as a browser takes them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def test_a_figure_is_not_taken_for_the_folder_of_a_page(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"\.html, or a folder.*paper"):
        write_gallery(runs, tmp_path / "figure.pdf", show=False)
    assert not (tmp_path / "figure.pdf").exists()


def test_a_page_holds_every_image_with_truth_and_models(runs: list[Path], tmp_path: Path) -> None:
    reported = write_gallery(runs, tmp_path / "page.html", show=False)
    page = Reader(reported.page.read_text("utf-8"))

    assert (reported.image_count, reported.models) == (3, ("far", "near"))
    assert [card["data-name"] for card in page.all("article")] == list(NAMES)
    titles = [each["data-title"] for each in page.all("figure")]
    assert titles == ["Photograph", "True depth", "far", "far, error", "near", "near, error"] * 3
    assert all(str(each["src"]).startswith("data:image/jpeg;base64,") for each in page.all("img"))
    assert all(each["alt"] for each in page.all("img"))


def test_predictions_of_another_size_are_shown_beside_the_truth(tmp_path: Path) -> None:
    root, folder = tmp_path / "toy", tmp_path / "half"
    write_toy(root, NAMES)
    for name in NAMES:
        save(prediction(), folder / name, ["npz"])  # of 24 x 32 pixels, and the truth of 48 x 64
    source = SourceOptions(root=root)
    reported = write_gallery([LOADER, folder], tmp_path / "page.html", source, show=False)
    page = Reader(reported.page.read_text("utf-8"))
    titles = [figure["data-title"] for figure in page.all("figure")]
    assert not reported.failed
    assert not reported.faults
    assert sum("error" in str(title) for title in titles) == 3


@pytest.mark.slow
def test_a_model_up_to_scale_stays_one_after_alignment(tmp_path: Path) -> None:
    run = write_run(tmp_path, "relative", kind="up_to_scale")
    page = Reader(write_gallery([run], tmp_path / "page.html", show=False).page.read_text("utf-8"))
    assert "up_to_scale, after fitting a scale to each image" in page.texts
    assert "metric" not in page.texts


def test_cards_carry_the_numbers_that_they_are_sorted_by(runs: list[Path], tmp_path: Path) -> None:
    reported = write_gallery(runs, tmp_path / "page.html", show=False)
    page = Reader(reported.page.read_text("utf-8"))

    keys = {str(each["value"]) for each in page.all("option")}
    first, second, _ = page.all("article")
    # AbsRel is the leading metric; metric predictions are not aligned, so it is the error itself.
    assert {"m0:up", "m0:down"} <= keys
    assert float(str(first["data-m0"])) == pytest.approx(0.1, abs=1e-5)
    assert float(str(second["data-m0"])) == pytest.approx(0.05, abs=1e-5)


def test_the_scripts_are_those_that_the_page_allows(runs: list[Path], tmp_path: Path) -> None:
    text = write_gallery(runs, tmp_path / "page.html", show=False).page.read_text("utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    allowed = re.findall(r"'sha256-([^']+)'", text)
    digests = [hashlib.sha256(each.encode()).digest() for each in scripts]
    assert [base64.b64encode(each).decode() for each in digests] == allowed
    assert len(scripts) == 3
    assert not re.search(r"https?://", text)


def test_a_folder_keeps_its_pictures_beside(runs: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "gallery"
    reported = write_gallery(runs, folder, show=False)
    page = Reader(reported.page.read_text("utf-8"))

    addresses = [str(each["src"]) for each in page.all("img")]
    assert reported.page == folder / "index.html"
    assert len(set(addresses)) == 18
    assert all(each["loading"] == "lazy" for each in page.all("img"))
    assert all((folder / address).is_file() for address in addresses)
    write_gallery(runs, folder, show=False)  # ours may be replaced


def test_a_report_is_verified_by_the_checksums_beside_it(runs: list[Path], tmp_path: Path) -> None:
    folder, alone = tmp_path / "gallery", tmp_path / "page.html"
    write_gallery(runs, folder, show=False)
    write_gallery(runs, alone, show=False)
    assert verify([folder, alone]).whole == 20
    for path in (folder / "pictures/000000-1.jpg", folder / "index.html", alone):
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + b" ")
        [fault] = verify([folder, alone]).faults
        assert fault.file == str(path)
        path.write_bytes(whole)


def test_a_report_that_was_killed_before_its_page_was_whole_is_made_again(
    runs: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "gallery"
    write_gallery(runs, folder, show=False)
    (folder / "index.html").rename(folder / ".index.html.999999999-0.rilievo-part")
    (folder / "checksums.json").unlink()
    write_gallery(runs, folder, show=False)
    assert {path.name for path in folder.iterdir()} == {"index.html", "pictures", "checksums.json"}
    (folder / "index.html").unlink()
    (folder / "pictures/holiday.jpg").write_bytes(b"mine")
    with pytest.raises(OutputError, match="contains files but no report from rilievo"):
        write_gallery(runs, folder, show=False)


def test_a_page_that_is_stopped_leaves_the_one_before_with_its_checksum(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = tmp_path / "pages" / "page.html"
    write_gallery(runs, alone, show=False)
    before = {path.name: path.read_bytes() for path in alone.parent.iterdir()}

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("rilievo.evaluation.views.gallery_page._page_pieces", stopped)
        with pytest.raises(KeyboardInterrupt):
            write_gallery(runs, alone, show=False)
    assert {path.name: path.read_bytes() for path in alone.parent.iterdir()} == before
    assert verify(alone).is_whole


def test_depth_has_the_colours_that_the_page_names_on_one_scale(
    runs: list[Path], tmp_path: Path
) -> None:
    page = write_gallery(runs, tmp_path / "gallery", show=False).page.read_text("utf-8")
    assert "near is dark red and far is violet" in page
    with Image.open(tmp_path / "gallery/pictures/000000-1.jpg") as image:
        red, _, blue = np.asarray(image).astype(float).transpose(2, 0, 1)
    with Image.open(tmp_path / "gallery/pictures/000000-2.jpg") as image:
        red_of_model, _, blue_of_model = np.asarray(image).astype(float).transpose(2, 0, 1)

    # Row 0 is 4 m away, row 47 is 1 m; the model is a tenth too far, so bluer in the middle.
    assert true_depth(0)[0, 0] > true_depth(0)[47, 0]
    assert red[45, 30] > blue[45, 30]
    assert red[2, 30] < blue[2, 30]
    assert (blue_of_model - red_of_model)[30, 30] > (blue - red)[30, 30]


def test_names_that_are_html_stay_text(tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>&\"'"
    write_toy(tmp_path / "toy", ("a",))
    (tmp_path / "toy" / "test.txt").write_text("a")
    hostile = SourceOptions(root=tmp_path / "toy")
    (tmp_path / "toy" / "a.npz").rename(tmp_path / "toy" / f"{name.replace(' ', '_')}.npz")
    (tmp_path / "toy" / "test.txt").write_text(name.replace(" ", "_"))

    reported = write_gallery([LOADER], tmp_path / "page.html", hostile, show=False)
    page = Reader(reported.page.read_text("utf-8"))

    assert [each["data-name"] for each in page.all("article")] == [name.replace(" ", "_")]
    assert not any("onerror" in attributes for _, attributes in page.elements)


def test_results_of_predict_make_a_page_too(tmp_path: Path) -> None:
    photos, results = write_results(tmp_path)

    code = main(
        ["report", str(results), "--photos", str(photos), "-o", str(tmp_path / "page.html")]
    )
    page = Reader((tmp_path / "page.html").read_text("utf-8"))

    assert code == 0
    titles = [each["data-title"] for each in page.all("figure")]
    assert titles == ["Photograph", "test/model", "test/model, normals"] * 2


def test_the_core_alone_writes_it(tmp_path: Path) -> None:
    """Modules of the extras cannot be imported."""
    photos, results = write_results(tmp_path)
    missing = ("matplotlib", "scipy", "skimage", "h5py", "fiftyone")
    script = (
        f"import sys\nsys.modules.update(dict.fromkeys({missing!r}))\n"
        "from rilievo.cli import main\n"
        f"sys.exit(main(['report', {str(results)!r}, '--photos', {str(photos)!r}, "
        f"'-o', {str(tmp_path / 'page.html')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "page.html").stat().st_size > 10_000


def test_images_that_cannot_be_read_are_listed_and_the_others_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, results = write_results(tmp_path)
    size = (photos / "one.png").stat().st_size
    (photos / "one.png").write_bytes(b"x" * size)

    code = main(
        ["report", str(results), "--photos", str(photos), "-o", str(tmp_path / "page.html")]
    )
    page = Reader((tmp_path / "page.html").read_text("utf-8"))

    assert code == 1
    assert "1 image cannot be shown:" in capsys.readouterr().out
    assert [each["data-name"] for each in page.all("article")] == ["room/two"]
    assert any("one: " in text and "one.png" in text for text in page.texts)


def test_a_page_that_would_show_nothing_is_not_written(tmp_path: Path) -> None:
    photos, results = write_results(tmp_path)
    for photo in photos.rglob("*.png"):
        photo.write_bytes(b"x" * photo.stat().st_size)

    with pytest.raises(InputError, match="none of the 2 images can be shown"):
        write_gallery([results], tmp_path / "page.html", SourceOptions(photos=photos), show=False)
    assert not (tmp_path / "page.html").exists()


def test_other_peoples_files_stay(tmp_path: Path, runs: list[Path]) -> None:
    (tmp_path / "page.html").write_text("<h1>mine</h1>")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("mine")

    with pytest.raises(OutputError, match="rilievo did not write this page"):
        write_gallery(runs, tmp_path / "page.html", show=False)
    with pytest.raises(OutputError, match="contains files but no report from rilievo"):
        write_gallery(runs, tmp_path / "folder", show=False)


def test_too_many_images_for_one_file_are_refused(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rilievo.evaluation.views.gallery_page.MAX_EMBEDDED_IMAGES", 2)

    with pytest.raises(
        OptionError, match=r"3 images are too many for a single file .*output=.*page"
    ):
        write_gallery(runs, tmp_path / "page.html", show=False)
    assert write_gallery(
        runs, tmp_path / "page.html", SourceOptions(limit=2), show=False
    ).page.exists()


def results_of(tmp: Path, **outputs: str) -> tuple[Path, SourceOptions]:
    """Results of ``rilievo predict`` of photographs, each with outputs of its own."""
    folder, photos = tmp / "results", tmp / "photographs"
    photos.mkdir()
    for name, names in outputs.items():
        given = prediction(values=true_depth(0), name=f"{name}.png")
        assert given.photo is not None
        Image.fromarray(given.photo.pixels).save(photos / f"{name}.png")
        save(given, folder / name, names)
    return folder, SourceOptions(photos=photos)


def titles_of(text: str) -> list[str | None]:
    return [each["data-title"] for each in Reader(text).all("figure")]


def test_results_without_arrays_are_shown_by_their_pictures(tmp_path: Path) -> None:
    pictures = "colour,normals,confidence,sky,panel,stereo"
    folder, source = results_of(tmp_path, a=pictures, b="colour", c="ply", d="turn,html")
    (folder / "b.normals.png").write_bytes(b"of somebody else")
    reported = write_gallery([folder], tmp_path / "page.html", source, show=False)
    text = reported.page.read_text("utf-8")
    label = "test/model"
    assert titles_of(text) == [
        *("Photograph", f"{label}, normals", label, f"{label}, panel", f"{label}, stereo"),
        *("Photograph", label),
        "Photograph",
        *("Photograph", f"{label}, turn"),
    ]
    assert (reported.image_count, reported.models) == (4, (label,))
    [fault] = reported.faults
    assert fault.startswith("c: test/model: ")
    assert "(existing: c.ply): save the prediction again, also as npz or png16" in fault


def test_of_mixed_results_arrays_and_pictures_are_shown(tmp_path: Path) -> None:
    folder, source = results_of(tmp_path, a="colour", b="colour,npz")
    reported = write_gallery([folder], tmp_path / "page", source, show=False)
    text = reported.page.read_text("utf-8")
    label = "test/model"
    assert titles_of(text) == ["Photograph", label, "Photograph", label, f"{label}, normals"]
    assert reported.faults == ()


def test_results_with_neither_arrays_nor_pictures_are_refused_in_one_line(tmp_path: Path) -> None:
    folder, source = results_of(tmp_path, a="ply,glb")
    with pytest.raises(
        InputError, match=r"\(existing: a\.ply, a\.glb\): save the prediction again, also as npz"
    ) as caught:
        write_gallery([folder], tmp_path / "page", source, show=False)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "page").exists()


def test_a_broken_picture_is_told_and_the_others_are_shown(tmp_path: Path) -> None:
    folder, source = results_of(tmp_path, a="colour", b="colour")
    (folder / "a.depth.png").write_bytes(b"broken")
    reported = write_gallery([folder], tmp_path / "page", source, show=False)
    assert titles_of(reported.page.read_text("utf-8")) == ["Photograph"] * 2 + ["test/model"]
    [fault] = reported.faults
    assert str(folder / "a.depth.png") in fault
