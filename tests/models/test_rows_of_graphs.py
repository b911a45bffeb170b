"""Rows of the catalogue: all served by a mirror, and the newest by what is published of them."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from rilievo.cli import main
from rilievo.errors import ModelError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.intrinsics import K_from_fov
from rilievo.models import MODELS, load_model
from rilievo.models.card import known_models
from rilievo.models.catalogue.published_graph import open_graph
from rilievo.models.catalogue.table import (
    ENTRIES,
    CatalogueEntry,
    NetworkFamily,
    network_family,
    read_row,
)
from rilievo.models.load_options import LoadOptions
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo
from support.catalogue_mirror import CatalogueMirror, catalogue
from support.moge_lookalike import write_moge
from support.published_graphs import (
    MEAN,
    STD,
    at_centres,
    blocks,
    weighted,
    write_depth_anything_3,
    write_depth_pro,
    write_inverse_depth,
    write_metric3d,
    write_with_sky,
    write_zipdepth,
)

__all__ = ["catalogue"]

K = np.array([[400.0, 0, 251.5], [0, 410.0, 188.5], [0, 0, 1]])
WRITERS: Mapping[str, Callable[[Path], object]] = {
    "moge-2": write_moge,
    "zipdepth": write_zipdepth,
    "depth-anything-v2": write_inverse_depth,
    "depth-anything-3": lambda path: write_depth_anything_3(path, K=K),
    "depth-anything-3-metric": lambda path: write_with_sky(path, size=(504, 504), channel=True),
    "depth-anything-3-mono": lambda path: write_with_sky(path, size=(378, 504), channel=False),
    "metric3d-v2": lambda path: write_metric3d(path, normalises=True),
    "midas": lambda path: write_inverse_depth(path, names=("0", "797"), side=256),
    "dpt": lambda path: write_inverse_depth(path, side=384),
    "depth-pro": lambda path: write_depth_pro(path, focal=1200.0),
}


def seen(pixels: np.ndarray, degrees: float = 60.0) -> Photo:
    shape = (pixels.shape[0], pixels.shape[1])
    return Photo(pixels=pixels, camera=Camera(K=K_from_fov(degrees, shape)))


@pytest.mark.parametrize("name", ENTRIES)
def test_every_row_is_fetched_checked_and_run(
    catalogue: CatalogueMirror, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    catalogue.offer(name, WRITERS[ENTRIES[name].family])
    assert main(["models", "fetch", name]) == 0
    said = capsys.readouterr()
    assert Path(said.out.strip()).is_file()
    assert ENTRIES[name].licence in said.err
    model = load_model(name, device="cpu")
    pixels, _ = blocks((120, 160))
    [answer] = model.predict_raw([seen(pixels)])
    assert answer.depth.kind is MODELS[name].kind
    assert answer.depth.values.shape == (120, 160)


@pytest.mark.parametrize("shape", [(240, 320), (500, 300), (384, 512)])
def test_zipdepth_gets_plain_colours_at_a_shorter_side_of_384(
    catalogue: CatalogueMirror, shape: tuple[int, int]
) -> None:
    catalogue.offer("zipdepth", write_zipdepth)
    pixels, colours = blocks(shape)
    model = load_model("zipdepth", device="cpu")
    [inference] = model.infer([Photo(pixels=pixels)])
    assert inference.depth is not None
    assert min(inference.depth.shape) == 384
    assert all(side % 32 == 0 for side in inference.depth.shape)
    [answer] = model.predict_raw([pixels])
    assert answer.depth.kind is DepthKind.AFFINE_INVERSE
    np.testing.assert_allclose(at_centres(answer.depth.values), weighted(colours / 255), atol=1e-5)


def test_what_a_teacher_of_zipdepth_allows_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "zipdepth"]) == 0
    said = capsys.readouterr().out
    assert "MIT, commercial use allowed" in said
    assert "CC-BY-NC-4.0" in said
    assert "the size and SHA-256 that the hub states at the first download" in said


@pytest.mark.parametrize("shape", [(240, 320), (320, 240)])
def test_depth_anything_3_gives_metres_of_the_focal_length_without_sky(
    catalogue: CatalogueMirror, shape: tuple[int, int]
) -> None:
    name = "depth-anything-3/metric-large"
    catalogue.offer(name, WRITERS["depth-anything-3-metric"])
    pixels, colours = blocks(shape)
    photo = seen(pixels)
    [answer] = load_model(name, device="cpu").predict_raw([photo])
    assert photo.camera is not None
    sums = weighted((colours / 255 - MEAN) / STD)
    focal = photo.camera.K[0, 0] / shape[1] * 504
    ground = sums <= 1
    assert 0 < ground.sum() < ground.size
    np.testing.assert_array_equal(at_centres(answer.depth.valid), ground)
    np.testing.assert_allclose(
        at_centres(answer.depth.values)[ground], (5 + sums[ground]) * focal / 300, rtol=1e-4
    )


@pytest.mark.parametrize("shape", [(240, 320), (400, 300), (300, 300)])
def test_depth_anything_3_mono_turns_upright_photographs(
    catalogue: CatalogueMirror, shape: tuple[int, int]
) -> None:
    name = "depth-anything-3/mono-large"
    catalogue.offer(name, WRITERS["depth-anything-3-mono"])
    one, two = blocks(shape), blocks((200, 320), seed=2)
    answers = load_model(name, device="cpu").predict_raw([one[0], two[0]])
    for answer, (pixels, colours) in zip(answers, (one, two), strict=True):
        assert answer.depth.kind is DepthKind.AFFINE
        assert answer.depth.values.shape == pixels.shape[:2]
        sums = weighted((colours / 255 - MEAN) / STD)
        ground = sums <= 1
        np.testing.assert_array_equal(at_centres(answer.depth.valid), ground)
        np.testing.assert_allclose(
            at_centres(answer.depth.values)[ground], 5 + sums[ground], atol=1e-4
        )


@pytest.mark.slow
def test_zipdepth_answers_as_the_authors_network_in_libreyolo(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    zipdepth = pytest.importorskip("libreyolo.models.zipdepth")
    from libreyolo.models.zipdepth.utils import preprocess_numpy

    torch.manual_seed(0)
    network = zipdepth.LibreZipDepth(None, size="b", device="cpu").model.eval()
    photograph = data.coffee()[:384]  # of the network's size, so that both resize nothing
    photograph = np.ascontiguousarray(photograph[:, :576])
    image = torch.from_numpy(preprocess_numpy(photograph, 384)[0])[None]
    with torch.no_grad():
        theirs = network(image)[0, 0].numpy()
    path = tmp_path / "zipdepth.onnx"
    names = {"input_names": ["pixel_values"], "output_names": ["predicted_depth"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (image,), path, dynamo=False, opset_version=17, **names)
    ours = open_graph(path, LoadOptions(device="cpu"), MODELS["zipdepth"], weights_sha256="0")
    [answer] = ours.infer([Photo(pixels=photograph)])
    assert answer.depth is not None
    assert np.ptp(theirs) > 0.1
    assert np.abs(answer.depth - theirs).max() < 1e-5 * np.ptp(theirs)


def test_a_card_says_what_to_copy_to_a_machine_without_a_network(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["models", "moge-2/small"]) == 0
    [line] = [each for each in capsys.readouterr().out.splitlines() if "download" in each]
    [file] = ENTRIES["moge-2/small"].files
    assert line.split()[1:] == [
        "https://huggingface.co/Ruicheng/moge-2-vits-normal-onnx/resolve/"
        "e50ffda41565591092adea54c6ac83d6212e1e23/model.onnx,",
        "140,852,051",
        "bytes,",
        "sha256",
        str(file.sha256),
    ]
    for entry in ENTRIES.values():
        assert len(entry.card.downloads) == len(entry.files)


def test_misspelt_fields_of_a_row_are_refused_by_their_names() -> None:
    [row] = [row for row in known_models("onnx_families") if row["name"] == "zipdepth"]
    assert read_row(NetworkFamily, row).name == "zipdepth"
    preparation = {**row["preparation"], "sdt": [0.25]}
    wrong = {**row, "preparation": preparation, "one_by_onee": True}
    with pytest.raises(ModelError, match=r"'zipdepth' has fields .* exist: one_by_onee, sdt"):
        read_row(NetworkFamily, wrong)


def test_a_wrong_value_of_a_row_is_refused_with_its_place() -> None:
    [row] = [row for row in known_models("onnx_models") if row["name"] == "zipdepth"]
    with pytest.raises(ModelError, match=r"known\.toml, the row 'zipdepth': kind is \"meters\""):
        read_row(CatalogueEntry, {**row, "kind": "meters"})


def test_an_unknown_family_is_answered_with_the_nearest() -> None:
    with pytest.raises(ModelError, match=r"no family 'zipdept'; did you mean 'zipdepth'"):
        network_family("zipdept")
