"""The embedded models and the table of models, as a user meets them."""

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
import skimage.data

import rilievo
from rilievo.cli import main
from rilievo.errors import ModelError, OptionError
from rilievo.extensions.subpackages import LOADERS
from rilievo.models import DEFAULT_MODEL, MODELS, find_card, load_model
from rilievo.models.base import Model
from rilievo.models.default.embedded import (
    BASE,
    SMALL,
    embedded_cards,
    read_long_card,
    shared_cores,
)
from rilievo.models.finding import find_loader
from rilievo.models.onnx_files.onnx_model import OnnxModel
from rilievo.models.resampling.preparation import shrink
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo
from support.network_numbers import assert_networks_agree
from support.odd_pictures import ODD, PHOTOGRAPHS, UNKNOWABLE
from support.openvino_kernels import skip_without_avx

EMBEDDED = tuple(card.name for card in embedded_cards())
MOST_BYTES = {BASE: 14.5e6, SMALL: 4e6}
MOST_PARAMETERS = {BASE: 14e6, SMALL: 5e6}


@pytest.fixture(scope="module")
def embedded() -> Mapping[str, Model]:
    return {name: load_model(name) for name in EMBEDDED}


@pytest.fixture(scope="module")
def model(embedded: Mapping[str, Model]) -> Model:
    return embedded[DEFAULT_MODEL]


@pytest.mark.parametrize("name", [each for each in MODELS if MODELS[each].loader not in LOADERS])
def test_every_model_of_the_table_can_be_loaded_and_has_a_card(name: str) -> None:
    card = MODELS[name]
    assert card.name == name
    assert callable(find_loader(card))
    assert card.extra is None or card.extra in Path("pyproject.toml").read_text()


@pytest.mark.parametrize("name", EMBEDDED)
def test_each_is_as_small_as_it_has_to_be(embedded: Mapping[str, Model], name: str) -> None:
    model = embedded[name]
    assert isinstance(model, OnnxModel)
    content = model.path.read_bytes()
    assert len(content) <= MOST_BYTES[name]
    assert len(content) == pytest.approx((MODELS[name].megabytes or 0) * 1e6, rel=0.02)
    assert model.weights_sha256 == hashlib.sha256(content).hexdigest()
    # Kernels of convolutions; what else there is are short rows.
    kernels = [each.dims for each in onnx.load_from_string(content).graph.initializer]
    assert sum(np.prod(each) for each in kernels if len(each) > 1) <= MOST_PARAMETERS[name]


@pytest.mark.parametrize("name", EMBEDDED)
def test_an_answer_has_the_photograph_as_the_network_saw_it(
    embedded: Mapping[str, Model], name: str
) -> None:
    photo = Photo(pixels=skimage.data.astronaut())
    [answer] = embedded[name].infer([photo])
    assert answer.depth is not None
    assert answer.network_image is not None
    assert np.array_equal(answer.network_image, shrink(photo.pixels, answer.depth.shape))


@pytest.mark.parametrize("name", EMBEDDED)
def test_each_file_says_what_the_table_says(embedded: Mapping[str, Model], name: str) -> None:
    model = embedded[name]
    assert isinstance(model, OnnxModel)
    card = MODELS[name]
    assert (model.description.name, model.description.licence) == (name, card.licence)
    assert card.area == model.settings["area"]
    assert card.kind is model.description.kind
    assert card.confidence
    assert model.description.precision == "int8 weights"
    assert "NYU" in model.metadata["rilievo.trained_on"]


@pytest.mark.parametrize("name", EMBEDDED)
def test_each_card_tells_licence_training_data_accuracy_and_limits(
    embedded: Mapping[str, Model], name: str
) -> None:
    details = read_long_card(MODELS[name])
    assert details is not None
    assert embedded[name].weights_sha256 in details
    assert f" bytes) and is licensed under {MODELS[name].licence}" in details
    for word in ("AbsRel", "up to scale", "ImageNet", "onfidence", "Sky", "rendered"):
        assert word in details
    assert f"| {name} |" in details
    assert "training frames of NYU Depth V2's labelled set" in details


@pytest.mark.slow
@pytest.mark.parametrize("name", EMBEDDED)
@pytest.mark.parametrize("picture", ODD)
def test_odd_pictures_get_a_finite_answer(
    embedded: Mapping[str, Model], name: str, picture: str
) -> None:
    pixels = ODD[picture]()
    [prediction] = embedded[name].predict_raw([pixels])
    assert prediction.normals is not None
    assert prediction.confidence is not None
    assert prediction.depth.kind is DepthKind.UP_TO_SCALE
    assert prediction.depth.shape == prediction.confidence.shape == pixels.shape[:2]
    assert np.isfinite(prediction.depth.values).all()
    assert (prediction.depth.values > 0).all()
    assert prediction.confidence.min() >= 0
    assert prediction.confidence.max() <= 1
    np.testing.assert_allclose(np.linalg.norm(prediction.normals, axis=0), 1, atol=1e-4)


def sure(model: Model, pixels: np.ndarray) -> float:
    [prediction] = model.predict_raw([pixels])
    assert prediction.confidence is not None
    return float(prediction.confidence.mean())


@pytest.mark.slow
@pytest.mark.parametrize("name", EMBEDDED)
def test_where_nothing_can_be_known_each_is_less_sure(
    embedded: Mapping[str, Model], name: str
) -> None:
    usual = np.median([sure(embedded[name], take()) for take in PHOTOGRAPHS.values()])
    for what, take in UNKNOWABLE.items():
        assert sure(embedded[name], take()) < usual, what


def test_it_knows_that_a_floor_comes_nearer_towards_the_bottom(model: Model) -> None:
    """The least a depth model must know: the motorcycle stands on a floor, before a wall."""
    [prediction] = model.predict_raw([skimage.data.stereo_motorcycle()[0]])
    assert prediction.normals is not None
    height = prediction.shape[0]
    bottom, middle = prediction.depth.values[-20:], prediction.depth.values[height // 3]
    assert np.median(bottom) < 0.8 * np.median(middle)
    assert np.median(prediction.normals[1, -20:]) < -0.7


def test_its_depth_of_the_motorcycle_agrees_with_the_stereo_pair(model: Model) -> None:
    """Middlebury 2014: focal length 994.978 px, baseline 0.193 m, offset 31.086 px."""
    left, _, disparity = skimage.data.stereo_motorcycle()
    valid = np.isfinite(disparity)
    true = np.where(valid, 994.978 * 0.193001 / (np.where(valid, disparity, 1) + 31.086), 1)
    [prediction] = model.predict_raw([left])
    aligned = rilievo.align(prediction.depth, true, valid).depth.depth()
    error = np.mean(np.abs(aligned[valid] - true[valid]) / true[valid])
    constant = np.mean(np.abs(np.median(true[valid]) - true[valid]) / true[valid])
    assert error < 0.9 * constant


def test_the_table_and_the_card_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--all"]) == 0
    table = capsys.readouterr().out
    for word in (DEFAULT_MODEL, "up_to_scale", "Apache-2.0", "MB"):
        assert word in table
    for name in EMBEDDED:
        assert name in table
        assert main(["models", name]) == 0
        said = capsys.readouterr().out
        assert "AbsRel" in said
        assert "confidence  yes: 0 to 1 for each pixel" in said


@pytest.mark.parametrize("name", ["base", "small"])
def test_a_model_of_rilievos_own_goes_by_its_last_word(name: str) -> None:
    assert load_model(name).name == find_card(name).name == f"rilievo/{name}"


def test_a_file_is_no_model_of_rilievos_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "small").write_bytes(b"no model")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError):
        load_model(Path("small"))


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("smal", "rilievo/small"),
        ("Small", "rilievo/small"),
        ("bsae", "rilievo/base"),
        ("rilievo", "rilievo/base' or 'rilievo/small"),
        ("midas", "midas/small"),
        ("dav2s", "depth-anything-v2/small"),
        ("dav2/smal", "depth-anything-v2/small"),
    ],
)
def test_an_unknown_name_is_answered_by_rilievos_own_model_first(name: str, first: str) -> None:
    with pytest.raises(ModelError, match=f"did you mean '{first}'"):
        load_model(name)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("da3", "'depth-anything-3/small'"),
        ("moge-3", "'moge-2/small'"),
        ("marigold-v2", "'marigold/"),
        ("rilievo/smal", "'rilievo/small'"),
        ("depth-anything/Depth-Anything-V2-Smal", "Depth-Anything-V2-Small-hf"),
        ("zzz", "no model 'zzz'"),
    ],
)
def test_an_unknown_name_is_answered_in_three_lines_of_a_terminal(name: str, near: str) -> None:
    with pytest.raises(ModelError) as caught:
        load_model(name)
    said = str(caught.value)
    assert near in said
    for words in ("'rilievo models --all'", "kind=KIND", "package.module:load", "extending.md"):
        assert words in said
    assert len(f"rilievo: {said}") <= 3 * 80


def test_faults_name_what_was_given_and_no_path_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"^empty: "):
        load_model("empty")
    with pytest.raises(OptionError, match=r"^model 'rilievo/small' "):
        load_model("rilievo/small", engine="torch")


def test_the_default_answers_alike_by_both_engines() -> None:
    """OpenVINO once made another size of the layout network's picture."""
    pytest.importorskip("openvino")
    skip_without_avx()
    photo = skimage.data.coffee()
    own, other = (
        load_model(DEFAULT_MODEL, engine=engine).predict(photo)
        for engine in ("onnxruntime", "openvino")
    )
    assert_networks_agree(
        np.log(other.depth.values), np.log(own.depth.values), median=1e-4, tolerance=2e-3, limit=0.2
    )
    assert_networks_agree(other.normals, own.normals, median=1e-4, tolerance=0.01, limit=0.5)
    assert_networks_agree(other.confidence, own.confidence, median=1e-4, tolerance=2e-3, limit=0.2)


@pytest.mark.parametrize("name", EMBEDDED)
def test_two_callers_that_share_the_cores_get_the_answers_of_one(
    embedded: Mapping[str, Model], name: str
) -> None:
    with shared_cores(2):
        shared = load_model(name)
    assert (embedded[name].callers, shared.callers) == (1, 2)
    photos = [
        rilievo.read_photo(skimage.data.astronaut()),
        rilievo.read_photo(skimage.data.coffee()),
    ]
    with ThreadPoolExecutor(shared.callers) as callers:
        answers = callers.map(lambda photo: shared.infer([photo])[0], photos)
    for photo, answer in zip(photos, answers, strict=True):
        assert answer == embedded[name].infer([photo])[0]


@pytest.mark.parametrize(("cores", "threads"), [(1, None), (2, 1), (4, 2)])
def test_one_core_and_threads_that_the_user_names_have_one_caller(
    cores: int, threads: int | None
) -> None:
    with shared_cores(cores):
        assert load_model(SMALL, threads=threads).callers == 1
