"""Official checkpoints and runs on video as models: predict, export, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file

from rilievo.cli import main
from rilievo.errors import ModelError, OptionError
from rilievo.io.json_record import to_json
from rilievo.models import load_model
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo
from rilievo.training.adapters.run_models import INVERSE_RESIZING, VIDEO_FORMAT, VideoRunRecord
from rilievo.training.adapters.trained import blend_with_mirrored
from rilievo.training.conversion.onnx_export import ExportOptions, export_model
from rilievo.training.networks.blueprint import PoseKind, VideoBlueprint
from rilievo.training.networks.video.video_networks import make_networks
from support.network_numbers import assert_networks_agree
from support.official_checkpoints import plain_disparities, write_checkpoint

SIZE = (64, 96)
BLUEPRINT = VideoBlueprint(encoder="lite", pose=PoseKind.CNN, size=SIZE)


pytestmark = pytest.mark.usefixtures("one_thread")


def photograph(height: int = 60, width: int = 100) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def mono(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("mono"), size=SIZE, pose=None)


@pytest.fixture(scope="module")
def stereo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stereo")
    return write_checkpoint(folder, size=SIZE, pose=None, stereo=True)


def write_run(folder: Path, blueprint: VideoBlueprint = BLUEPRINT) -> Path:
    networks = make_networks(blueprint, offsets=(-1, 1), seed=2)
    save_file(networks.state_dict(), folder / "weights.safetensors")
    facts = VideoRunRecord(format=VIDEO_FORMAT, blueprint=blueprint)
    (folder / "config.json").write_text(to_json(facts, indent=2))
    return folder


def plain_depth(folder: Path, photo: np.ndarray, *, unit: float) -> np.ndarray:
    """The published program's steps, from the files: Lanczos, network, inverse depth, depth."""
    height, width = SIZE
    small = np.array(Image.fromarray(photo).resize((width, height), Image.Resampling.LANCZOS))
    said = plain_disparities(
        torch.load(folder / "encoder.pth", weights_only=True),
        torch.load(folder / "depth.pth", weights_only=True),
        torch.from_numpy(small / 255.0).permute(2, 0, 1)[None].float(),
        name="resnet18",
        scales=(0, 1, 2, 3),
    )
    inverse = 0.01 + (10 - 0.01) * said[0][0, 0].numpy()
    # Inverse depth is what its authors resize.
    resized = np.asarray(Image.fromarray(inverse).resize(photo.shape[1::-1], 2))
    return unit / resized


@pytest.mark.slow
def test_a_folder_predicts_what_the_published_program_does(mono: Path) -> None:
    model = load_model(mono, device="cpu")
    assert model.card.kind is DepthKind.UP_TO_SCALE
    [prediction] = model.predict_raw([photograph()])
    expected = plain_depth(mono, photograph(), unit=1)
    np.testing.assert_allclose(prediction.depth.values, expected, rtol=1e-4)


@pytest.mark.slow
def test_depth_that_was_learned_from_stereo_is_in_metres(stereo: Path) -> None:
    model = load_model(stereo, device="cpu")
    assert model.card.kind is DepthKind.METRIC
    [prediction] = model.predict_raw([photograph()])
    expected = plain_depth(stereo, photograph(), unit=5.4)
    np.testing.assert_allclose(prediction.depth.values, expected, rtol=1e-4)
    assert model.settings["unit"] == 5.4


@pytest.mark.slow
def test_the_command_line_predicts_by_a_folder_and_says_its_licence(
    stereo: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(photograph()).save(tmp_path / "photo.png")
    output = tmp_path / "out"
    arguments = ["predict", str(tmp_path / "photo.png"), "--model", str(stereo), "-o", str(output)]
    assert main([*arguments, "--set", "post_process=yes"]) == 0
    assert "NON-COMMERCIAL" in capfd.readouterr().err
    said = json.loads((output / "photo.json").read_text())
    text = json.dumps(said)
    assert '"metric"' in text
    assert "US patent 11991342" in text
    assert '"post_process": true' in text


def test_models_says_what_monodepth2_is_and_that_it_is_not_fetched(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(["models", "monodepth2"]) == 0
    said = capfd.readouterr().out
    for words in ("NON-COMMERCIAL", "US patent 11991342", "encoder.pth", "post_process"):
        assert words in said
    with pytest.raises(
        ModelError, match="monodepth2 is not downloaded automatically: unpack a checkpoint"
    ):
        load_model("monodepth2")


def test_a_kind_that_the_files_contradict_is_refused(mono: Path) -> None:
    with pytest.raises(OptionError, match="its kind of depth is up_to_scale, but you gave metric"):
        load_model(mono, kind="metric")


@given(width=st.integers(40, 200), seed=st.integers(0, 99))
def test_post_processing_takes_each_border_from_the_side_that_sees_it(
    width: int, seed: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    plain, mirrored = torch.rand(2, 1, 3, width, generator=random, dtype=torch.float64)
    blend = blend_with_mirrored(plain, mirrored)
    place = np.linspace(0, 1, width)
    left, right = place <= 0.05, place >= 0.95
    middle = (place >= 0.1) & (place <= 0.9)
    assert torch.equal(blend[..., left], mirrored[..., left])
    assert torch.equal(blend[..., right], plain[..., right])
    torch.testing.assert_close(blend[..., middle], ((plain + mirrored) / 2)[..., middle])
    torch.testing.assert_close(blend_with_mirrored(plain, plain), plain)
    # Mirrored, the two change places.
    torch.testing.assert_close(
        blend_with_mirrored(mirrored.flip(-1), plain.flip(-1)), blend.flip(-1)
    )


def test_numbers_spread_over_what_depth_can_be(mono: Path) -> None:
    """A wide spread makes the other tests of these values meaningful."""
    depth = plain_depth(mono, photograph(), unit=1)
    assert depth.max() > 3 * depth.min()


@pytest.mark.slow
def test_a_post_processed_answer_is_made_of_two(mono: Path) -> None:
    photo = photograph()
    one = load_model(mono, device="cpu")
    two = load_model(mono, device="cpu", settings={"post_process": True})
    assert (one.settings["post_process"], two.settings["post_process"]) == (False, True)
    pixels = one.preparation.pixels(photo)
    answers = one.run(np.stack([pixels, pixels[:, ::-1]]))["depth"]
    inverse = blend_with_mirrored(
        torch.from_numpy(1 / answers[:1]), torch.from_numpy(1 / answers[1:, :, ::-1])
    )
    said = two.run(np.array(pixels)[None])["depth"]
    assert_networks_agree(
        np.log(said), -np.log(inverse.numpy()), median=5e-5, tolerance=1e-4, limit=0.01
    )


@pytest.mark.slow
@pytest.mark.parametrize("given", ["run", "stereo"])
def test_an_onnx_file_says_the_same_and_resizes_the_same(
    stereo: Path, tmp_path: Path, given: str
) -> None:
    (tmp_path / "run").mkdir()
    folder = stereo if given == "stereo" else write_run(tmp_path / "run")
    file = tmp_path / "model.onnx"
    export_model(folder, file, ExportOptions())
    [ours] = load_model(folder, device="cpu", engine="torch").predict_raw([photograph()])
    model = load_model(file, device="cpu")
    [theirs] = model.predict_raw([photograph()])
    assert theirs.depth.kind is ours.depth.kind
    assert model.card.resizing == INVERSE_RESIZING
    assert_networks_agree(
        np.log(theirs.depth.values),
        np.log(ours.depth.values),
        median=5e-5,
        tolerance=1e-4,
        limit=0.01,
    )


def test_a_run_says_what_it_is_and_predicts(tmp_path: Path) -> None:
    blueprint = replace(BLUEPRINT, kind=DepthKind.METRIC, unit=2.0, max_depth=10.0)
    model = load_model(write_run(tmp_path, blueprint), device="cpu")
    assert model.card.kind is DepthKind.METRIC
    assert "lite at 96x64" in model.card.summary
    networks = make_networks(blueprint, offsets=(-1, 1), seed=2).eval()
    pixels = model.preparation.pixels(photograph())
    with torch.no_grad():
        sigmoid = networks.depth(torch.from_numpy(pixels / 255).permute(2, 0, 1)[None].float())[0]
    expected = 2 / (0.1 + (10 - 0.1) * sigmoid[:, 0].numpy())
    np.testing.assert_allclose(model.run(np.array(pixels)[None])["depth"], expected, rtol=1e-5)
    [inference] = model.infer([Photo(pixels=photograph())])
    assert inference.depth.shape == (64, 96)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("rilievo-video/1", "rilievo-video/9", "another version of rilievo"),
        ('"encoder": "lite"', '"encoder": "resnet18"', r"missing: depth\.encoder\.encoder\."),
        (
            '"min_depth": 0.1',
            '"min_depth": -1.0',
            "is not a video training run: min_depth must be positive",
        ),
        ('"kind": "up_to_scale"', '"kind": "affine"', "up_to_scale or metric, got affine"),
        ('"blueprint"', '"blueprints"', "it has no 'blueprint'"),
    ],
)
def test_a_run_whose_config_was_changed_is_refused_in_a_line(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    path = write_run(tmp_path) / "config.json"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ModelError, match=words) as caught:
        load_model(tmp_path, device="cpu")
    assert "\n" not in str(caught.value)


def test_a_run_without_weights_or_with_cut_ones_is_refused(tmp_path: Path) -> None:
    path = write_run(tmp_path) / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"weights\.safetensors: contains no readable weights"):
        load_model(tmp_path, device="cpu")
    path.unlink()
    with pytest.raises(ModelError, match=r"no weights\.safetensors yet"):
        load_model(tmp_path, device="cpu")


@pytest.mark.parametrize("name", ["encoder.pth", "depth.pth"])
def test_half_a_checkpoint_is_refused(mono: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).hardlink_to(mono / name)
    with pytest.raises(ModelError, match="a Monodepth2 checkpoint consists of"):
        load_model(tmp_path)


def test_an_unknown_setting_is_refused(mono: Path) -> None:
    with pytest.raises(OptionError, match="no setting 'postprocess'; did you mean 'post_process'"):
        load_model(mono, settings={"postprocess": True})
