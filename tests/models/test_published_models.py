"""The catalogue's families, each on a graph of its signature, from a mirror to the prediction."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from rilievo.cli import main
from rilievo.errors import ModelError
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.intrinsics import K_from_fov
from rilievo.models import MODELS, load_model
from rilievo.models.card import NOT_STATED, RESEARCH_DATA, known_models
from rilievo.models.catalogue.graph_inputs import centred_letterbox
from rilievo.models.catalogue.graph_outputs import OUTPUT_READERS
from rilievo.models.catalogue.table import ENTRIES, InputForm, network_family
from rilievo.models.finding import find_model
from rilievo.models.hub.checkpoints import CHECKPOINTS
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.engines import open_session
from rilievo.models.requests import ModelRequest
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo
from support.catalogue_mirror import CatalogueMirror, catalogue
from support.published_graphs import (
    MEAN,
    MEAN_255,
    STD,
    STD_255,
    at_centres,
    blocks,
    node,
    weighted,
    write,
    write_depth_anything_3,
    write_depth_pro,
    write_inverse_depth,
    write_metric3d,
)

__all__ = ["catalogue"]

ENGINES = [
    "onnxruntime",
    pytest.param(
        "openvino",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("openvino") is None, reason="no openvino here"
        ),
    ),
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("name", "precision", "tolerance"),
    [
        ("depth-anything-v2/small", "fp32", 1e-5),
        ("depth-anything-v2/small-fp16", "fp16", 2e-3),
        ("depth-anything-v2/small-int8", "int8", 1e-5),
    ],
)
def test_depth_anything_v2_gets_imagenet_colours_and_gives_inverse_depth(
    catalogue: CatalogueMirror, name: str, precision: str, tolerance: float, engine: str
) -> None:
    catalogue.offer(name, lambda path: write_inverse_depth(path, precision=precision))
    pixels, colours = blocks((240, 320))
    [answer] = load_model(name, device="cpu", engine=engine).predict_raw([pixels])
    assert answer.depth.kind is DepthKind.AFFINE_INVERSE
    expected = weighted((colours / 255 - MEAN) / STD)
    np.testing.assert_allclose(at_centres(answer.depth.values), expected, atol=tolerance)


@pytest.mark.parametrize("shape", [(300, 400), (400, 300), (900, 1300)])
def test_depth_anything_v2_sees_a_shorter_side_of_518(
    catalogue: CatalogueMirror, shape: tuple[int, int]
) -> None:
    name = "depth-anything-v2/small"
    catalogue.offer(name, write_inverse_depth)
    photo = Photo(pixels=blocks(shape)[0])
    [inference] = load_model(name, device="cpu").infer([photo])
    assert inference.depth is not None
    size = inference.depth.shape
    assert min(size) == 518
    assert all(side % 14 == 0 for side in size)
    assert max(size) == pytest.approx(518 * max(shape) / min(shape), abs=7)


@pytest.mark.parametrize(
    ("name", "names", "side", "mean", "std"),
    [
        ("midas/small", ("0", "797"), 256, MEAN, STD),
        ("dpt/hybrid", ("pixel_values", "predicted_depth"), 384, 0.5, 0.5),
        ("dpt/large", ("pixel_values", "predicted_depth"), 384, 0.5, 0.5),
    ],
)
def test_midas_and_dpt_see_a_square(
    catalogue: CatalogueMirror,
    name: str,
    names: tuple[str, str],
    side: int,
    mean: np.ndarray,
    std: np.ndarray,
) -> None:
    catalogue.offer(name, lambda path: write_inverse_depth(path, names=names, side=side))
    one, two = blocks((240, 320)), blocks((320, 200), seed=2)
    answers = load_model(name, device="cpu").predict_raw([one[0], two[0]])
    for answer, (pixels, colours) in zip(answers, (one, two), strict=True):
        assert answer.depth.kind is DepthKind.AFFINE_INVERSE
        assert answer.depth.values.shape == pixels.shape[:2]
        expected = weighted((colours / 255 - mean) / std)
        np.testing.assert_allclose(at_centres(answer.depth.values), expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_depth_anything_3_gives_depth_up_to_scale_and_a_camera(
    catalogue: CatalogueMirror, engine: str
) -> None:
    name = "depth-anything-3/small"
    # 320 x 240 come to 504 x 378 pixels of the network.
    K = np.array([[400.0, 0, 251.5], [0, 410.0, 188.5], [0, 0, 1]])
    catalogue.offer(name, lambda path: write_depth_anything_3(path, K=K))
    pixels, colours = blocks((240, 320))
    model = load_model(name, device="cpu", engine=engine)
    [answer] = model.predict_raw([pixels])
    assert answer.depth.kind is DepthKind.UP_TO_SCALE
    expected = 3 + weighted((colours / 255 - MEAN) / STD)
    np.testing.assert_allclose(at_centres(answer.depth.values), expected, rtol=1e-5)
    assert answer.confidence is not None
    np.testing.assert_allclose(answer.confidence, 0.5, rtol=1e-6)
    assert answer.camera is not None
    assert answer.camera.source is CameraSource.PREDICTED
    whole = [[400 / 504 * 320, 0, 159.5], [0, 410 / 378 * 240, 119.5], [0, 0, 1]]
    np.testing.assert_allclose(answer.camera.K, whole, rtol=1e-6)
    [inference] = model.infer([Photo(pixels=pixels)])
    assert inference.depth is not None
    assert inference.depth.shape == (378, 504)


@pytest.mark.parametrize("focal", [(-400.0, 410.0), (400.0, -410.0), (400.0, np.nan)])
def test_depth_anything_3_with_an_impossible_focal_length_is_refused(
    catalogue: CatalogueMirror, focal: tuple[float, float]
) -> None:
    name = "depth-anything-3/small"
    K = np.array([[focal[0], 0, 251.5], [0, focal[1], 188.5], [0, 0, 1]])
    catalogue.offer(name, lambda path: write_depth_anything_3(path, K=K))
    model = load_model(name, device="cpu")
    with pytest.raises(ModelError, match="returned an invalid camera matrix"):
        model.predict_raw([blocks((240, 320))[0]])


def test_depth_anything_3_without_camera_and_confidence_gives_depth_alone(
    catalogue: CatalogueMirror,
) -> None:
    name = "depth-anything-3/base"
    catalogue.offer(name, lambda path: write_depth_anything_3(path, K=np.eye(3), extras=False))
    pixels, _ = blocks((240, 320))
    [answer] = load_model(name, device="cpu").predict_raw([pixels])
    assert answer.confidence is None
    assert answer.camera is not None
    assert answer.camera.source is CameraSource.ASSUMED


def test_the_weights_of_depth_anything_3_lie_beside_its_graph_and_are_checked(
    catalogue: CatalogueMirror, tmp_path: Path
) -> None:
    name = "depth-anything-3/small"
    K = np.diag([400.0, 400.0, 1.0])
    catalogue.offer(name, lambda path: write_depth_anything_3(path, K=K))
    first = load_model(name, device="cpu").weights_sha256
    [weights] = (tmp_path / "hf").rglob("model.onnx_data")
    assert (weights.parent / "model.onnx").is_file()
    assert load_model(name, device="cpu").weights_sha256 == first
    content = bytearray(weights.read_bytes())
    content[0] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.onnx_data has sha256"):
        load_model(name, device="cpu")


def known(pixels: np.ndarray, degrees: float = 60.0) -> Photo:
    size = (pixels.shape[0], pixels.shape[1])
    return Photo(pixels=pixels, camera=Camera(K=K_from_fov(degrees, size)))


@pytest.mark.parametrize("normalises", [True, False])
@pytest.mark.parametrize("shape", [(240, 320), (400, 300), (1200, 1800)])
def test_metric3d_gives_metres_of_the_focal_length_and_normals(
    catalogue: CatalogueMirror, shape: tuple[int, int], normalises: bool
) -> None:
    name = "metric3d-v2/small-fp32"
    catalogue.offer(name, lambda path: write_metric3d(path, normalises=normalises))
    pixels, colours = blocks(shape)
    photo = known(pixels)
    [answer] = load_model(name, device="cpu").predict_raw([photo])
    assert answer.depth.kind is DepthKind.METRIC
    assert photo.camera is not None
    scale = min(616 / shape[0], 1064 / shape[1])
    canonical = 20 + weighted((colours - MEAN_255) / STD_255)
    expected = canonical * photo.camera.K[0, 0] * scale / 1000
    np.testing.assert_allclose(at_centres(answer.depth.values), expected, rtol=1e-5)
    assert answer.depth.valid.all()
    assert answer.normals is not None
    np.testing.assert_allclose(
        at_centres(answer.normals),
        np.broadcast_to([[[0]], [[-0.6]], [[-0.8]]], (3, 4, 4)),
        atol=1e-6,
    )


def test_what_reaches_the_end_of_metric3d_s_range_has_no_depth(catalogue: CatalogueMirror) -> None:
    name = "metric3d-v2/small"
    catalogue.offer(name, lambda path: write_metric3d(path, normalises=True))
    pixels = np.zeros((240, 320, 3), np.uint8)
    pixels[:120] = 255
    [answer] = load_model(name, device="cpu").predict_raw([known(pixels)])
    assert not answer.depth.valid[:110].any()
    assert answer.depth.valid[130:].all()


def test_metric3d_asks_for_the_focal_length(catalogue: CatalogueMirror) -> None:
    name = "metric3d-v2/small"
    catalogue.offer(name, lambda path: write_metric3d(path, normalises=True))
    with pytest.raises(ModelError, match=r"fov=\.\.\. or camera"):
        load_model(name, device="cpu").predict_raw([blocks((240, 320))[0]])


def test_a_letterbox_keeps_the_aspect_and_the_middle() -> None:
    place = centred_letterbox((480, 640), (616, 1064))
    assert (place.height, place.width) == (616, 821)
    assert (place.top, place.left) == (0, (1064 - 821) // 2)


def test_depth_pro_gives_metres_and_the_focal_length(catalogue: CatalogueMirror) -> None:
    focal = 1200.0
    catalogue.offer("depth-pro", lambda path: write_depth_pro(path, focal=focal))
    pixels, colours = blocks((240, 320))
    own = 5 + weighted((colours / 255 - 0.5) / 0.5)
    model = load_model("depth-pro", device="cpu")
    [free] = model.predict_raw([pixels])
    assert free.camera is not None
    assert free.camera.source is CameraSource.PREDICTED
    assert free.camera.K[0, 0] == pytest.approx(focal / 1536 * 320, rel=1e-5)
    np.testing.assert_allclose(at_centres(free.depth.values), own, rtol=1e-4)
    photo = known(pixels)
    [held] = model.predict_raw([photo])
    assert photo.camera is not None
    factor = photo.camera.K[0, 0] / 320 / (focal / 1536)
    np.testing.assert_allclose(at_centres(held.depth.values), own * factor, rtol=1e-4)


@pytest.mark.parametrize("name", ENTRIES)
def test_every_entry_states_licence_graph_and_files(name: str) -> None:
    entry, card = ENTRIES[name], MODELS[name]
    family = network_family(entry.family)
    assert family.output_form in OUTPUT_READERS
    assert (family.preparation is None) is (family.input_form is InputForm.PATCHES)
    assert card.extra is None
    assert card.megabytes is not None
    assert all(file.sha256 is None or len(file.sha256) in (16, 64) for file in entry.files)
    assert (entry.commercial is False) == ("NC" in entry.licence or "amlr" in entry.licence)
    if entry.twin is not None:
        twin = CHECKPOINTS[entry.twin]
        assert (twin.kind, twin.name) == (entry.kind, entry.twin)


def test_what_only_transformers_does_goes_to_the_checkpoint_of_the_same_network() -> None:
    def source(name: str, **options: str) -> str | None:
        run = LoadOptions(device="cpu", **options)  # pyright: ignore[reportArgumentType]
        card = find_model(ModelRequest(name=name, options=run)).card
        assert card is not None
        return card.source

    name, twin = "depth-anything-v2/small", "depth-anything/Depth-Anything-V2-Small-hf"
    assert source(name) == "onnx-community/depth-anything-v2-small"
    assert source(name, precision="bf16", engine="openvino") == source(name)
    assert source(name, precision="int8") == source(name)
    for options in ({"engine": "torch"}, {"precision": "fp16"}):
        assert source(name, **options) == twin
    assert source(f"{name}@main") == twin
    assert source(twin) == twin


def test_a_licence_that_forbids_commercial_use_is_said_loudly(
    catalogue: CatalogueMirror, capsys: pytest.CaptureFixture[str]
) -> None:
    catalogue.offer("depth-anything-v2/large", write_inverse_depth)
    load_model("depth-anything-v2/large", device="cpu")
    said = capsys.readouterr().err
    assert "NON-COMMERCIAL LICENCE" in said
    assert "CC-BY-NC-4.0" in said
    load_model("depth-anything-v2/large", device="cpu")
    assert "NON-COMMERCIAL" not in capsys.readouterr().err


@pytest.mark.parametrize("inner", ["a", "inner", "/Squeeze_output_0", "zz"])
def test_openvino_names_outputs_as_the_file_does(tmp_path: Path, inner: str) -> None:
    pytest.importorskip("openvino")
    nodes = [node("Sigmoid", ["image"], [inner]), node("Identity", [inner], ["mask"])]
    shape = ["n", 1, "height", "width"]
    path = write(tmp_path / "network.onnx", nodes, [], {"image": shape}, {"mask": shape})
    assert open_session(path, LoadOptions(engine="openvino")).output_names == ("mask",)


def test_a_licence_stands_only_with_the_place_where_its_authors_state_it() -> None:
    rows = [
        row for table in ("checkpoints", "onnx_models", "pipelines") for row in known_models(table)
    ]
    assert len(rows) > 40
    for row in rows:
        name = row.get("name", row.get("source"))
        assert bool(row.get("stated")) is (row["licence"] != NOT_STATED), name
        if row["licence"] == NOT_STATED:
            assert "commercial" not in row, name
    for card in (*MODELS.all().values(), *CHECKPOINTS.values()):
        if card.licence == NOT_STATED:
            assert card.commercial is None, card.name
    metric = [card for source, card in CHECKPOINTS.items() if "V2-Metric" in source]
    assert {(card.licence, card.commercial) for card in metric} == {(NOT_STATED, None)}
    assert len(metric) == 6


def test_models_trained_on_the_same_data_have_the_same_note(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for family in ("midas/small", "dpt/hybrid", "dpt/large", "metric3d-v2/small", "moge-2/small"):
        assert main(["models", family]) == 0
        assert RESEARCH_DATA in capsys.readouterr().out, family
    # The same network has the same facts, whoever runs it.
    for name, entry in ENTRIES.items():
        if entry.twin is not None:
            twin = CHECKPOINTS[entry.twin]
            assert (twin.research_data, twin.commercial) == (entry.research_data, entry.commercial)
            assert entry.licence.startswith(twin.licence), name


@pytest.mark.parametrize("engine", ENGINES)
def test_an_input_keeps_its_name_before_a_conversion_to_16_bits(
    tmp_path: Path, engine: str
) -> None:
    path = write(
        tmp_path / "half.onnx",
        [
            node("Cast", ["pixel_values"], ["halves"], to=TensorProto.FLOAT16),
            node("Neg", ["halves"], ["negative"]),
            node("Cast", ["negative"], ["predicted_depth"], to=TensorProto.FLOAT),
        ],
        [],
        {"pixel_values": ["batch", 3, "height", "width"]},
        {"predicted_depth": ["batch", 3, "height", "width"]},
    )
    session = open_session(path, LoadOptions(engine=engine))
    assert session.input_names == ("pixel_values",)
    assert session.output_names == ("predicted_depth",)
