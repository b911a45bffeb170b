"""Answers: made, kept, calibrated, forgotten; without a browser."""

import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app_scenes import HEIGHT, WIDTH, WallModel, make_store, wall, write_photo
from rilievo.calibration import Along, KnownPoint
from rilievo.errors import CalibrationError, InputError, ModelError, OptionError
from rilievo.types import CameraSource, DepthKind
from rilievo.views.app import actions
from rilievo.views.app.question import CameraFrom, Question, read_point, safe_stem
from rilievo.views.app.session import Colours, Session, read_colours
from rilievo.views.app.sweeper import Sweeper


@pytest.fixture
def question(tmp_path: Path) -> Question:
    (tmp_path / "answers").mkdir()
    photo = write_photo(tmp_path / "upload.jpg")
    return Question(photo=photo, name="holiday", model="test/wall")


def asked(tmp_path: Path, question: Question, kind: DepthKind = DepthKind.UP_TO_SCALE):
    store = make_store(tmp_path / "answers", WallModel(kind))
    return store, store.ask(question)


def test_an_answer_outlives_the_upload(tmp_path: Path, question: Question):
    store, answer = asked(tmp_path, question)
    question.photo.unlink()
    store._at_hand.clear()
    prediction = store.prediction(answer)
    assert prediction.shape == (HEIGHT, WIDTH) == answer.shape
    np.testing.assert_allclose(prediction.depth.values, wall(DepthKind.UP_TO_SCALE))


def test_two_answers_of_one_photograph_have_nothing_in_common(tmp_path: Path, question: Question):
    store, first = asked(tmp_path, question)
    second = store.ask(question)
    assert first.token != second.token
    store.forget(first.token)
    assert store.prediction(second).depth is not None
    with pytest.raises(InputError, match="give the photograph again"):
        store.answer(first.token)
    assert not first.folder.exists()


def test_a_known_point_makes_metres_and_the_old_answer_stays(tmp_path: Path, question: Question):
    store, answer = asked(tmp_path, question)
    new = store.calibrated(answer, (KnownPoint(u=10, v=0, metres=2.0),))
    depth, before = store.prediction(new).depth, store.prediction(answer).depth
    assert depth is not None
    assert before is not None
    assert depth.kind is DepthKind.METRIC
    assert before.kind is DepthKind.UP_TO_SCALE
    np.testing.assert_allclose(depth.values, wall(DepthKind.METRIC), rtol=1e-5)


def test_a_visitor_clicks_types_a_distance_and_measures_in_metres(
    tmp_path: Path, question: Question
):
    store, answer = asked(tmp_path, question)
    session = actions.pick(Session(token=answer.token), 31.5, HEIGHT - 1)
    session = actions.know(store, session, 4.0, Along.AXIS)
    session = actions.pick(session, 31.5, 0)
    assert any("apart" in word and " m " in word for word in actions.measured(store, session))
    assert "depth in metres is not known" not in actions.measured(store, session)[0]
    back = actions.know_nothing(store, session)
    assert "times as deep" in actions.measured(store, back)[0]


def test_a_new_value_replaces_the_old_one_and_undo_brings_it_back(
    tmp_path: Path, question: Question
):
    store, answer = asked(tmp_path, question)
    session = Session(token=answer.token, first=(31.5, HEIGHT - 1), second=(5, HEIGHT - 1))
    with pytest.raises(OptionError, match="nothing to undo"):
        actions.undo(store, session)
    slip = actions.know(store, session, 40.0, Along.AXIS)
    right = actions.know(store, slip, 4.0, Along.AXIS)
    assert [each.metres for each in right.known] == [4.0]
    depth = store.prediction(actions.held(store, right)).depth
    np.testing.assert_allclose(depth.values, wall(DepthKind.METRIC), rtol=1e-5)
    assert actions.undo(store, right).known == slip.known
    before = actions.undo(store, actions.undo(store, right))
    assert store.prediction(actions.held(store, before)).depth.kind is DepthKind.UP_TO_SCALE
    ruled = actions.know(store, before, 0.5, None)
    assert "it is 0.5 m" in actions.say_known(ruled, actions.held(store, ruled))[0]
    metric = store.prediction(actions.held(store, ruled))
    assert metric.measure((31.5, HEIGHT - 1), (5, HEIGHT - 1)).value == pytest.approx(0.5)
    with pytest.raises(OptionError, match="second point"):
        actions.know(store, replace(before, second=None), 0.5, None)


def test_depth_with_an_unknown_shift_waits_for_a_second_point(tmp_path: Path, question: Question):
    store, answer = asked(tmp_path, question, DepthKind.AFFINE_INVERSE)
    session = actions.pick(Session(token=answer.token), 5, 0)
    session = actions.know(store, session, 2.0, Along.AXIS)
    assert session.token == answer.token
    assert "second known point" in actions.say_known(session, answer)[-1]
    session = actions.know(store, replace(session, first=(5, HEIGHT - 1)), 4.0, Along.AXIS)
    depth = store.prediction(actions.held(store, session)).depth
    assert depth is not None
    np.testing.assert_allclose(depth.values, wall(DepthKind.METRIC), rtol=1e-4)


def test_what_cannot_be_known_is_refused_and_leaves_nothing(tmp_path: Path, question: Question):
    store, answer = asked(tmp_path, question)
    session = Session(token=answer.token)
    with pytest.raises(OptionError, match="click a point"):
        actions.know(store, session, 2.0, Along.AXIS)
    with pytest.raises(OptionError, match="type the distance"):
        actions.know(store, replace(session, first=(1, 1)), None, Along.AXIS)
    with pytest.raises(OptionError, match="positive"):
        actions.know(store, replace(session, first=(1, 1)), -2, Along.AXIS)
    with pytest.raises(CalibrationError):
        store.calibrated(answer, (KnownPoint(u=900, v=0, metres=2.0),))
    assert {path.name for path in store.folder.iterdir()} == {answer.token}


@pytest.mark.parametrize(
    ("camera_from", "number", "focal"),
    [
        (CameraFrom.FOV, 90.0, WIDTH / 2),
        (CameraFrom.FOCAL, 123.0, 123.0),
        # 43.2666 mm is the diagonal of film, so such a lens sees a diagonal of its own length.
        (CameraFrom.FOCAL_35MM, 43.2666, float(np.hypot(HEIGHT, WIDTH))),
    ],
)
def test_the_camera_is_what_the_visitor_says(
    tmp_path: Path, question: Question, camera_from: CameraFrom, number: float, focal: float
):
    store = make_store(tmp_path / "answers", WallModel(DepthKind.METRIC))
    answer = store.ask(replace(question, camera_from=camera_from, number=number))
    camera = store.prediction(answer).camera
    assert camera is not None
    assert camera.K[0, 0] == pytest.approx(focal, rel=1e-5)
    assert camera.source is not CameraSource.ASSUMED


@pytest.mark.parametrize("number", [None, 0, -3.0, 180.0, float("nan")])
def test_a_field_of_view_out_of_range_is_refused(question: Question, number: float | None):
    with pytest.raises(OptionError, match="between 0 and 180"):
        replace(question, camera_from=CameraFrom.FOV, number=number)


def test_a_broken_photograph_is_told_by_its_own_name(tmp_path: Path, question: Question):
    store = make_store(tmp_path / "answers", WallModel(DepthKind.METRIC))
    broken = tmp_path / "secret-folder.jpg"
    broken.write_bytes(question.photo.read_bytes()[:300])
    with pytest.raises(InputError, match="holiday: ") as caught:
        store.ask(replace(question, photo=broken))
    assert str(tmp_path) not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert not list(store.folder.iterdir())


def test_a_photograph_with_too_many_pixels_is_refused(tmp_path: Path, question: Question):
    store = make_store(tmp_path / "answers", WallModel(DepthKind.METRIC))
    large = write_photo(tmp_path / "large.jpg", size=(1200, 1000))
    with pytest.raises(InputError, match=r"above the limit of 1\.0 million"):
        store.ask(replace(question, photo=large))


def test_a_slow_model_is_not_waited_for_for_ever(tmp_path: Path, question: Question):
    go = threading.Event()

    def before() -> None:
        go.wait(5)

    model = WallModel(DepthKind.METRIC, before)
    store = make_store(tmp_path / "answers", model, limit=0.1)
    with pytest.raises(ModelError, match=r"no answer after 0\.1 s"):
        store.ask(question)
    go.set()
    store.networks.close()


def test_one_run_of_the_network_at_a_time_however_many_ask(tmp_path: Path, question: Question):
    running, most = [0], [0]
    lock = threading.Lock()

    def before() -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.01)
        with lock:
            running[0] -= 1

    store = make_store(tmp_path / "answers", WallModel(DepthKind.METRIC, before))
    threads = [threading.Thread(target=store.ask, args=(question,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert len(list(store.folder.iterdir())) == 6


def test_what_is_not_used_is_forgotten_and_what_is_used_stays(tmp_path: Path, question: Question):
    store, old = asked(tmp_path, question)
    time.sleep(0.12)
    new = store.ask(question)
    store.sweep(0.1)
    assert store.answer(new.token) is not None
    assert not old.folder.exists()


def test_the_sweeper_deletes_old_uploads_and_keeps_the_disk_within_its_limit(
    tmp_path: Path, question: Question
):
    store, answer = asked(tmp_path, question)
    uploads = tmp_path / "uploads"
    for name in ("a", "b"):
        (uploads / name).mkdir(parents=True)
        (uploads / name / "photo.jpg").write_bytes(bytes(1000))
    sweeper = Sweeper(store, uploads, seconds=1000.0, most_bytes=1e9)
    sweeper.close()
    sweeper.sweep()
    assert len(list(uploads.rglob("*.jpg"))) == 2
    sweeper._most = sum(path.stat().st_size for path in answer.folder.iterdir()) + 1500
    sweeper.sweep()
    assert len(list(uploads.rglob("*.jpg"))) == 1
    sweeper._seconds = 0.0
    sweeper.sweep()
    assert not list(uploads.rglob("*"))
    assert not list(store.folder.iterdir())


def test_the_sweeper_goes_on_where_files_come_and_go_meanwhile(tmp_path: Path, question: Question):
    store = make_store(tmp_path / "answers", WallModel(DepthKind.METRIC))
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    sweeper = Sweeper(store, uploads, seconds=1e-4, most_bytes=1e9)
    end = time.monotonic() + 0.7
    while time.monotonic() < end and sweeper._thread.is_alive():
        for each in range(20):
            folder = uploads / str(each)
            folder.mkdir(exist_ok=True)
            with suppress(FileNotFoundError):
                (folder / "photo.jpg").write_bytes(b"")
                (folder / "photo.jpg").unlink()
        sweeper.bytes()
    assert sweeper._thread.is_alive()
    sweeper.close()


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\photos\\my room.JPG", "my-room"),
        (".hidden", "hidden"),
        ("Straße 12.png", "Straße-12"),
        ("<script>.jpg", "script"),
        ("", "photo"),
        (None, "photo"),
        ("x" * 300 + ".jpg", "x" * 60),
    ],
)
def test_results_get_a_name_that_is_safe_anywhere(name: str | None, stem: str):
    assert safe_stem(name) == stem


def test_points_and_ranges_are_read_as_people_type_them():
    assert read_point(" 12.5 ; 7 ") == (12.5, 7.0)
    assert read_point("  ") is None
    for text in ("12", "a, b", "1,2,3", "nan, 2"):
        with pytest.raises(OptionError):
            read_point(text)
    assert read_colours("turbo", None, " ") == Colours(colour_map="turbo")
    assert read_colours("turbo", "1", "4,0").query == "map=turbo&near=1.0&far=4.0"
    with pytest.raises(OptionError, match="'far' is empty"):
        read_colours("turbo", "1", "")
    with pytest.raises(OptionError, match="the far end is a number such as"):
        read_colours("turbo", "1", "two")
    with pytest.raises(OptionError, match="two different"):
        read_colours("turbo", "2", "2.0")
    with pytest.raises(OptionError, match="no colour map"):
        read_colours("tubro", None, None)
