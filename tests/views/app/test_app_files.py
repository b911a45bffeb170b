"""Files to take home are those of ``rilievo predict``; pictures and words of the page."""

import io
import json
import os
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app_scenes import HEIGHT, WIDTH, WallModel, make_store, write_photo
from predictions import prediction
from rilievo.errors import InputError, MissingExtraError, ModelError, OptionError
from rilievo.io.outputs import OUTPUTS, save
from rilievo.io.readback import read_prediction
from rilievo.io.writing import SaveOptions
from rilievo.models import MODELS
from rilievo.types import DepthKind, DepthMap
from rilievo.views.app import actions, markup, server
from rilievo.views.app.choices import Choice, choices, open_choices
from rilievo.views.app.files import offers, write_file, write_zip
from rilievo.views.app.options import AppOptions
from rilievo.views.app.pictures import SIDE, depth_limits, depth_picture, jpeg, marked, shrinking
from rilievo.views.app.question import Question
from rilievo.views.app.session import Colours, Session
from rilievo.views.app.surface_page import surface_page

OVERWRITE = SaveOptions(overwrite=True)


class Tags(HTMLParser):
    """Elements in a piece of HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_every_output_is_offered_or_refused_with_a_reason():
    offered = offers(prediction(), "x")
    assert [offer.output for offer in offered] == list(OUTPUTS)
    assert all(offer.refusal is None for offer in offered if OUTPUTS[offer.output].extra is None)
    bent = {offer.output: offer.refusal for offer in offers(prediction(DepthKind.AFFINE), "x")}
    assert bent["npy"] is None
    assert "two known distances" in (bent["glb"] or "")
    plain = {each.output: each.refusal for each in offers(prediction(with_confidence=False), "x")}
    assert "confidence" in (plain["confidence"] or "")


def test_a_file_reads_back_as_the_prediction_and_may_be_asked_for_again(tmp_path: Path):
    write_file(prediction(), tmp_path, "room", "npz", OVERWRITE)
    path = write_file(prediction(), tmp_path, "room", "npz", OVERWRITE)
    assert path.name == "room.npz"
    read = read_prediction(path)
    ours = prediction()
    assert read.depth is not None
    assert ours.depth is not None
    np.testing.assert_array_equal(
        read.depth.values[ours.depth.valid], ours.depth.values[ours.depth.valid]
    )


def test_the_zip_holds_all_that_there_is_and_the_json(tmp_path: Path):
    path = write_zip(prediction(), tmp_path, "room", OVERWRITE)
    with zipfile.ZipFile(path) as packed:
        names = packed.namelist()
        about = json.loads(packed.read("room.json"))
    there = [offer.file for offer in offers(prediction(), "room") if offer.refusal is None]
    assert sorted(names) == sorted([*there, "room.json"])
    assert about["depth"]["kind"] == "metric"
    write_zip(prediction(), tmp_path, "room", OVERWRITE)


def test_temporary_answers_are_not_synced_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    synced: list[object] = []
    for name in ("npz", "all", "kept"):  # a new folder is synced, once
        (tmp_path / name).mkdir()
    monkeypatch.setattr(os, "fsync", synced.append)
    monkeypatch.setattr(os, "fdatasync", synced.append)
    write_file(prediction(), tmp_path, "room", "npz", OVERWRITE)
    write_zip(prediction(), tmp_path, "room", OVERWRITE)
    assert synced == []
    save(prediction(), tmp_path / "kept" / "room", ["npz"], OVERWRITE)
    assert synced != []


def test_a_large_photograph_is_shown_small_and_a_click_finds_its_pixel():
    values = np.ones((3 * SIDE, 2 * SIDE), np.float32)
    large = DepthMap(values=values, kind=DepthKind.METRIC)
    assert shrinking(large.shape) == 3
    picture = depth_picture(large, "viridis", depth_limits(large, None))
    assert picture.shape[:2] == (SIDE, -(-2 * SIDE // 3))


def test_points_are_drawn_where_they_are():
    blank = np.full((200, 300, 3), 128, np.uint8)
    # Column 2 * 100 + 0.5 of the photograph is the middle of column 100 of its half-size picture.
    drawn = marked(blank, [("A", 200.5, 100.5), ("B", 500.5, 300.5)], 2)
    changed = np.argwhere((drawn != 128).any(axis=2))
    assert tuple(drawn[50, 100]) != (128, 128, 128)
    assert tuple(drawn[150, 250]) != (128, 128, 128)
    assert tuple(drawn[100, 175]) != (128, 128, 128), "a line joins them"
    assert changed[:, 0].min() > 10
    assert blank.min() == blank.max() == 128
    with Image.open(io.BytesIO(jpeg(drawn))) as image:
        assert image.size == (300, 200)


def test_nothing_that_a_file_brings_becomes_html(tmp_path: Path):
    (tmp_path / "answers").mkdir()
    store = make_store(tmp_path / "answers", WallModel(DepthKind.UP_TO_SCALE))
    evil = '"><script>x</script>'
    question = Question(photo=write_photo(tmp_path / "a.jpg"), name=evil, model="m")
    answer = store.ask(question)
    shown = actions.show(store, answer, Colours(), evil)
    for text in (shown.summary, shown.depth, shown.files, markup.complain(evil)):
        assert "script" not in [tag for tag, _ in Tags(text).found]


def test_every_picture_has_words_and_the_slider_a_name(tmp_path: Path):
    (tmp_path / "answers").mkdir()
    store = make_store(tmp_path / "answers", WallModel(DepthKind.METRIC))
    photo = write_photo(tmp_path / "a.jpg")
    answer = store.ask(Question(photo=photo, name="a", model="m"))
    shown = actions.show(store, answer, Colours(), "wall")
    tags = Tags(shown.depth).found
    assert all(each["alt"] for tag, each in tags if tag == "img")
    [slider] = [each for tag, each in tags if tag == "input"]
    assert slider["type"] == "range"
    assert slider["aria-label"]
    # Each of the 48 rows has more than 2 % of the pixels, so the percentiles are the ends.
    assert "near, 2.00 m" in shown.depth
    assert "far, 4.00 m" in shown.depth
    [frame] = Tags(shown.surface).found[:1]
    assert frame[1]["title"]


def test_the_surface_page_loads_nothing_but_the_photograph():
    page = surface_page(prediction())
    addresses = [each["src"] for _, each in Tags(page).found if "src" in each]
    assert addresses == ["photo.jpg"]
    ids = {each.get("id") for _, each in Tags(page).found}
    assert {"surface", "surface-state", "surface-form", "surface-data", "surface-help"} <= ids
    assert {"measure", "lines", "stage", "photo"} <= ids
    with pytest.raises(InputError, match="known"):
        surface_page(prediction(DepthKind.AFFINE))


def test_two_answers_of_one_model_agree_wholly(tmp_path: Path):
    (tmp_path / "answers").mkdir()
    store = make_store(tmp_path / "answers", WallModel(DepthKind.METRIC))
    question = Question(photo=write_photo(tmp_path / "a.jpg"), name="a", model="m")
    answers = (store.ask(question), store.ask(question))
    assert "to 100.0 %" in actions.compared(store, answers)[0]


def test_the_marked_picture_lies_where_it_may_be_fetched(tmp_path: Path):
    (tmp_path / "answers").mkdir()
    (tmp_path / "uploads").mkdir()
    store = make_store(tmp_path / "answers", WallModel(DepthKind.METRIC))
    answer = store.ask(Question(photo=write_photo(tmp_path / "a.jpg"), name="a", model="m"))
    path = actions.mark(store, Session(token=answer.token, first=(3, 4)), tmp_path / "uploads")
    assert path.is_relative_to(tmp_path / "uploads")
    with Image.open(path) as image:
        assert image.size == (WIDTH, HEIGHT)
    with pytest.raises(InputError, match="give a photograph first"):
        actions.mark(store, Session(), tmp_path / "uploads")


def test_paid_models_are_not_listed_and_others_say_why_they_cannot_be_chosen():
    listed = choices("rilievo/small", ())
    assert listed[0].name == "rilievo/small"
    assert [each.name for each in open_choices(listed)] == ["rilievo/small"]
    free = [name for name in MODELS if not name.startswith("replicate:")]
    assert sorted(each.name for each in listed) == sorted(free)
    assert all(each.refusal for each in listed[1:])
    rows = Tags(markup.models_view(listed)).found
    assert [tag for tag, _ in rows].count("tr") == len(listed) + 1
    for offered in ("replicate:cjwbw/midas", "rilievo/smal"):
        with pytest.raises(ModelError):
            choices("rilievo/small", (offered,))


def test_a_model_of_the_servers_own_shows_its_name_and_no_folder():
    [own, *_] = choices("/home/me/runs/best.onnx", ())
    assert own == Choice(name="/home/me/runs/best.onnx", card=None, refusal=None)
    assert own.label == "best.onnx (the server's own)"
    assert "/home" not in markup.models_view([own])


def test_only_a_page_that_others_cannot_see_offers_everything():
    assert AppOptions().offered is None
    assert AppOptions(host="::1").offered is None
    assert AppOptions(host="0.0.0.0").offered == ()
    assert AppOptions(host="0.0.0.0", offer="a, b").offered == ("a", "b")
    assert AppOptions(host="0.0.0.0", offer="all").offered is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 70_000},
        {"max_megabytes": 0.0},
        {"queue": 0},
        {"time_limit": float("inf")},
        {"root_path": "depth"},
        {"root_path": "//elsewhere"},
    ],
)
def test_options_out_of_range_are_refused(wrong: dict[str, object]):
    with pytest.raises(OptionError):
        AppOptions(**wrong)  # pyright: ignore[reportArgumentType]


def test_without_gradio_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"rilievo\[app\]"), server.made_site(AppOptions()):
        pass
