"""The report: whole, in one file, with every number, whatever the names are."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.errors import OutputError
from rilievo.evaluation import evaluation_report as report
from rilievo.evaluation.evaluation_report import middle_worst_best_items, rank_scores, write_report
from rilievo.evaluation.metrics.depth import DEPTH_METRICS
from rilievo.evaluation.metrics.metric import Better
from rilievo.evaluation.records import Evaluation, RangeError, Unscored
from rilievo.io.map_pictures import DEPTH_COLOURS, describe_depth_colours, sky_colour
from rilievo.pages.pictures import PredictedMaps, choose_max_error, comparison_panels
from rilievo.records.depth_map import DepthKind, DepthMap
from support.evaluations import METRICS, evaluation
from support.pictured_rooms import Rooms

VOID = {"meta", "img", "br", "link", "input", "hr"}
ANGLES = (("mean", "mean", "°", Better.LOWER),)


class Page(HTMLParser):
    """A page as a browser sees it, roughly: text, addresses, and tags that do not close."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text: list[str] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.source = path.read_text("utf-8")
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.ids += [given["id"] or ""] if "id" in given else []
        self.images += [given] if tag == "img" else []
        self.addresses += [given[key] or "" for key in ("src", "href", "action") if key in given]
        assert not any(key.startswith("on") for key in given), given
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def _written(made: Evaluation, path: Path, pictures: Rooms | None = None) -> Page:
    write_report(made, path / "report.html", pictures)
    page = Page(path / "report.html")
    assert page.open == []
    return page


def _decoded(uri: str | None) -> np.ndarray:
    head, _, data = (uri or "").partition(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        return np.asarray(picture).astype(int)


def test_the_report_is_one_whole_page_that_loads_nothing(tmp_path: Path) -> None:
    page = _written(evaluation(images=30), tmp_path, Rooms())
    assert page.tags.count("h1") == 1
    assert len(set(page.ids)) == len(page.ids)
    assert all(each.startswith(("#", "data:image/jpeg", "data:,")) for each in page.addresses)
    assert not re.search(r"(src|href|url)\s*[=(]\s*[\"']?(https?:)?//", page.source)
    assert "@import" not in page.source
    assert all(image.get("alt") for image in page.images)
    anchors = {each[1:] for each in page.addresses if each.startswith("#")}
    assert anchors <= set(page.ids)


@pytest.mark.slow
def test_a_report_names_the_colours_of_its_depth_pictures(tmp_path: Path) -> None:
    page = _written(evaluation(), tmp_path, Rooms())
    assert describe_depth_colours(DEPTH_COLOURS) in page.words


def test_figures_are_open_and_numbers_are_folded(tmp_path: Path) -> None:
    source = _written(evaluation(images=30), tmp_path, Rooms()).source
    folds = re.findall(r'<details class="fold"( open)?>(.*?)</details>', source, re.DOTALL)
    figures = [is_open for is_open, text in folds if "<svg" in text]
    assert figures
    assert all(figures)
    assert not any(is_open for is_open, text in folds if "<svg" not in text)


def test_the_report_has_every_number_of_every_metric(tmp_path: Path) -> None:
    made = evaluation(images=654)
    words = _written(made, tmp_path).words
    for each in made.summaries:
        for value in (each.value, each.low, each.high, each.median, each.pooled):
            assert f"{value:.4f}" in words
    assert "654,000" in words
    for score in (made.scores[0], made.scores[-1]):
        assert score.id in words
        assert all(f"{value:.4f}" in words for value in score.values.values())
    for fact in ("ab" * 32, "cd" * 32, "ef" * 32, made.command, "659", "data/rooms", "Apache-2.0"):
        assert fact in words
    assert f"{100 * made.summaries[0].value:.1f}%" in words
    assert DEPTH_METRICS["abs_rel"].summary in words


def test_the_headline_says_what_was_fitted_to_the_truth(tmp_path: Path) -> None:
    said = {"median": "fitting a scale to", "scale_shift": "a scale and a shift", "none": "without"}
    for method, words in said.items():
        write_report(evaluation(alignment=method), tmp_path / "report.html")
        headline = (tmp_path / "report.html").read_text("utf-8").split('<main id="content">')[0]
        assert words in headline, method
        # Three metrics, each with its interval.
        assert headline.count('class="tile"') == headline.count("95%: 0.") == 3


def test_a_training_run_is_named_by_its_folder_and_not_by_an_absolute_path(tmp_path: Path) -> None:
    write_report(evaluation(model="/home/me/runs/rooms"), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "<title>rooms on rooms" in page
    assert "/home/me" not in page


def test_frames_of_scenes_are_said_to_be_scenes(tmp_path: Path) -> None:
    scenes = tuple(f"{number // 3}" for number in range(12))
    write_report(evaluation(scenes=scenes), tmp_path / "report.html")
    assert "4 scenes (the 12 images are alike" in (tmp_path / "report.html").read_text()


@pytest.mark.slow
def test_a_metric_that_is_best_near_zero_is_ranked_so(tmp_path: Path) -> None:
    bias = (("bias", "bias", "", Better.ZERO),)
    made = evaluation(values={"bias": np.array([-0.3, 0.1, 0.2])}, metrics=bias)
    order = [score.values["bias"] for score in rank_scores(made.scores, made.summaries[0])]
    assert order == [0.1, 0.2, -0.3]
    assert "→0" in _written(made, tmp_path).words


def test_warnings_and_all_unscored_images_are_said(tmp_path: Path) -> None:
    lost = tuple(Unscored(id=f"lost/{i}", reason=f"file {i} is cut short") for i in range(30))
    page = _written(evaluation(unscored=lost, warnings=("truth looks like mm",)), tmp_path)
    assert "truth looks like mm" in page.words
    assert all(f"lost/{i}" in page.words for i in range(30))
    assert all(f"file {i} is cut short" in page.words for i in range(30))
    assert "12 of 42 images scored" in page.words


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    made = evaluation(
        model=evil,
        ids=(f"{evil}/1", "$x^2$", "a\udcff"),
        images=3,
        benchmark=evil,
        settings={evil: evil, "hides": evil},
        unscored=(Unscored(id=evil + "2", reason=evil),),
        warnings=(evil,),
        metrics=(("abs_rel", f"$\\frac{evil}$", "<b>", Better.LOWER),),
    )
    page = _written(replace(made, command=evil), tmp_path, Rooms(broken="$x^2$"))
    assert page.tags.count("script") == 2
    # Two images of four pictures: photograph, truth, prediction and error.
    assert len(page.images) == 8
    assert evil in page.words
    assert r"a\udcff" in page.words
    assert "$x^2$.png: is cut short" in page.words


def test_the_median_the_worst_and_the_best_images_are_read_and_no_more(tmp_path: Path) -> None:
    made = evaluation(images=300)
    rooms = Rooms()
    page = _written(made, tmp_path, rooms)
    order = sorted(made.scores, key=lambda score: score.values["abs_rel"])
    ids = [score.id for score in order]
    assert rooms.reads == [ids[150], *ids[:-5:-1], *ids[:4]]
    assert len(page.images) == 4 * 9
    assert "300 of 300" in page.words


@pytest.mark.slow
@pytest.mark.parametrize("images", [1, 2, 7])
def test_few_images_are_each_shown_once(tmp_path: Path, images: int) -> None:
    rooms = Rooms()
    _written(evaluation(images=images), tmp_path, rooms)
    assert len(rooms.reads) == len(set(rooms.reads)) == images


def test_the_best_have_the_highest_value_where_higher_is_better() -> None:
    made = evaluation(metrics=(METRICS[2],))
    values = [score.values["delta1"] for score in rank_scores(made.scores, made.summaries[0])]
    assert values == sorted(values, reverse=True)


def test_the_middle_comes_first_then_the_worst_and_the_best_in_their_order() -> None:
    made = evaluation(values={"abs_rel": np.arange(1, 7) / 10}, metrics=(METRICS[0],))
    items = list(middle_worst_best_items(made, Rooms()))
    assert [(each.label, each.value) for each in items] == [
        ("middle", "0.4000"),
        *(("worst", each) for each in ("0.6000", "0.5000")),
        *(("best", each) for each in ("0.1000", "0.2000", "0.3000")),
    ]


def test_of_two_images_neither_is_called_the_middle() -> None:
    made = evaluation(values={"abs_rel": np.array([0.1, 0.2])}, metrics=(METRICS[0],))
    items = list(middle_worst_best_items(made, Rooms()))
    assert [(each.label, each.value) for each in items] == [("worst", "0.2000"), ("best", "0.1000")]


@pytest.mark.parametrize(
    ("images", "sentence"),
    [(2, "The worse and the better image by"), (3, "The image in the middle, the worst and the")],
)
def test_the_sentence_above_the_pictures_fits_their_number(
    images: int, sentence: str, tmp_path: Path
) -> None:
    _written(evaluation(images=images), tmp_path, Rooms())
    [page] = tmp_path.rglob("report.html")
    assert sentence in page.read_text("utf-8")


def test_a_single_image_is_no_plural(tmp_path: Path) -> None:
    page = _written(evaluation(images=1), tmp_path)
    assert "1 image in the dataset's order" in page.words
    assert "1 images" not in page.source


def test_true_and_predicted_depth_share_their_colours_and_the_error_has_its_own() -> None:
    made = evaluation(values={"abs_rel": np.array([0.1])}, metrics=(METRICS[0],))
    [item] = middle_worst_best_items(made, Rooms())
    _, true, predicted, error = item.panels
    assert [each.title for each in item.panels] == [
        "Photograph",
        "True depth",
        "Prediction",
        "Prediction, error",
    ]
    assert true.legend == predicted.legend
    assert error.legend is not None
    assert error.legend.marks == ("−50% too near", "+50% too far")
    assert (true.pixels[0, 0] == 128).all()
    assert (error.pixels[0, 0] == 128).all()
    # 25% too far of 50% is three quarters along the map, which is orange there.
    red, green, blue = _decoded(error.uri)[30, 30]
    assert red > 220
    assert 110 < green < 200
    assert 70 < blue < 130


def test_the_scale_of_depth_reaches_over_truth_and_predictions_within_bounds() -> None:
    truth = Rooms().truth("a")
    for metres, ends in ((0.8, (0.5, 1.25)), (5.0, (0.2, 0.5)), (0.01, (0.5, 2.0))):
        depth = DepthMap(values=np.full((40, 60), metres, np.float32), kind=DepthKind.METRIC)
        true, predicted, _ = comparison_panels(truth, {"it": PredictedMaps(depth=depth)}, 0.5)
        assert true.legend == predicted.legend
        assert true.legend is not None
        far, _, near = (float(each.removesuffix(" m")) for each in true.legend.marks)
        assert (far, near) == pytest.approx((1 / ends[0], 1 / ends[1]))


def test_the_sky_of_a_prediction_has_its_colour_and_a_key() -> None:
    sky = np.repeat(np.arange(40) < 10, 60).reshape(40, 60)
    depth = DepthMap(values=np.where(sky, np.float32(80), np.float32(2)), kind=DepthKind.METRIC)
    _, predicted, _ = comparison_panels(
        Rooms().truth("a"), {"it": PredictedMaps(depth=depth, sky=sky)}, 0.5
    )
    assert predicted.legend is not None
    assert predicted.legend.has_sky
    assert (predicted.pixels[:9] == sky_colour("spectral")).all()
    assert not (predicted.pixels[12:] == sky_colour("spectral")).all(axis=2).any()


def test_a_prediction_that_is_not_metres_has_its_own_scale_and_no_error_map() -> None:
    made = evaluation(images=1, metrics=(METRICS[0],))
    [item] = middle_worst_best_items(made, Rooms(kind=DepthKind.AFFINE_INVERSE))
    assert [each.title for each in item.panels] == ["Photograph", "True depth", "Prediction"]
    assert item.panels[2].legend is not None
    assert item.panels[2].legend.marks == ("far", "near")


def test_normals_are_shown_in_the_colours_of_the_field_with_the_angle_between_them() -> None:
    made = evaluation(images=1, metrics=ANGLES, task="normals")
    [item] = middle_worst_best_items(made, Rooms(kind=None))
    true, predicted, error = (each.pixels.astype(int) for each in item.panels[-3:])
    assert np.abs(true[30, 10] - [128, 128, 255]).max() <= 1
    assert np.abs(predicted[30, 50] - [128, 128, 255]).max() <= 1
    assert np.abs(predicted[30, 10] - [255, 128, 128]).max() <= 1
    assert error[30, 10].sum() > 600
    assert error[30, 50].sum() < 30


def test_the_map_of_errors_ends_at_three_times_the_usual_error() -> None:
    for usual, end in ((0.01, 0.05), (0.04, 0.25), (0.1, 0.5), (3.0, 1.0)):
        assert choose_max_error([usual]) == end


@pytest.mark.slow
def test_a_long_table_holds_the_worst_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "MAX_TABLE_IMAGES", 20)
    monkeypatch.setattr(report, "WORST_IMAGES", 7)
    made = evaluation(images=40)
    page = _written(made, tmp_path)
    assert "The worst 7 of 40 images by AbsRel" in page.words
    order = sorted(made.scores, key=lambda score: score.values["abs_rel"])
    assert [score.id in page.words for score in order] == [False] * 33 + [True] * 7


@pytest.mark.slow
def test_odd_evaluations_have_a_report_all_the_same(tmp_path: Path) -> None:
    one = evaluation(values={"abs_rel": np.array([0.0])}, metrics=(METRICS[0],))
    assert "too few images" in _written(one, tmp_path).words
    flat = (RangeError(near=0.0, far=1.0, pixels=5, abs_rel=0.1, bias=0.1),)
    assert "0 to 1" in _written(replace(evaluation(), ranges=flat), tmp_path).words


def test_a_report_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="its folder does not exist"):
        write_report(evaluation(), tmp_path / "absent" / "report.html", None)
