"""The contract that networks in torch keep: one module, one verb, what runs them said."""

import numpy as np
import pytest
import torch
from torch import Tensor

from rilievo.errors import ModelError, OptionError
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.models.card import ModelCard
from rilievo.models.load_options import LoadOptions
from rilievo.models.resampling.preparation import Preparation, Resampling, Rule, Sizing
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo
from rilievo.training.adapters.torch_model import TorchModel, TorchNetwork

CARD = ModelCard(
    name="test/brightness",
    summary="depth is brightness",
    kind=DepthKind.METRIC,
    normals=False,
    licence="MIT",
    commercial=True,
    megabytes=0.0,
    extra="models",
    speed="instant",
    loader="nowhere:none",
)
SIZING = Sizing(rule=Rule.LEAST_CHANGE, height=32, width=32, multiple=8)


class Brightness(TorchNetwork):
    """Depth is 1 + the mean of the normalised colours; the field of view is what it is told."""

    def __init__(self, preparation: Preparation, fov: float | None = None) -> None:
        super().__init__(preparation)
        self.fov = fov
        self.outputs = ("depth",) if fov is None else ("depth", "fov")

    def compute_outputs(self, pixels: Tensor) -> tuple[Tensor, ...]:
        depth = 1 + pixels.mean(1)
        return (depth,) if self.fov is None else (depth, depth.new_full((len(depth),), self.fov))


class Matrices(TorchNetwork):
    """Depth through a product, which autocast computes with fewer digits."""

    def compute_outputs(self, pixels: Tensor) -> tuple[Tensor, ...]:
        weight = torch.full((3, 1), 0.3333, device=pixels.device)
        return ((1 + pixels.permute(0, 2, 3, 1) @ weight)[..., 0],)


def brightness(
    *, fov: float | None = None, focal: bool = False, options: LoadOptions | None = None
) -> TorchModel:
    preparation = Preparation(sizing=SIZING, mean=(0.5, 0.5, 0.5), std=(2.0, 2.0, 2.0))
    return TorchModel(
        CARD,
        Brightness(preparation, fov),
        options or LoadOptions(),
        weights_sha256="0" * 64,
        needs_focal=focal,
    )


def grey(level: int, height: int = 48, width: int = 64) -> Photo:
    return Photo(pixels=np.full((height, width, 3), level, np.uint8))


def test_pixels_are_normalised_inside_the_network() -> None:
    [prediction] = brightness().predict_raw([grey(204)])
    np.testing.assert_allclose(prediction.depth.values, 1 + (204 / 255 - 0.5) / 2, rtol=1e-6)
    assert prediction.shape == (48, 64)
    assert prediction.made_by.settings["engine"] == "torch"
    assert prediction.made_by.settings["sizing"] == "least-change 32x32 /8"


def test_photographs_of_many_sizes_come_back_in_their_order() -> None:
    photos = [grey(20 * index, 30 + 9 * (index % 3), 50) for index in range(7)]
    for index, prediction in enumerate(brightness().predict_raw(photos)):
        expected = 1 + (20 * index / 255 - 0.5) / 2
        np.testing.assert_allclose(prediction.depth.values, expected, rtol=1e-6)
        assert prediction.shape == photos[index].shape


def test_a_predicted_field_of_view_is_the_camera_of_a_photograph_without_one() -> None:
    [prediction] = brightness(fov=90.0).predict_raw([grey(100)])
    assert prediction.camera is not None
    assert prediction.camera.source is CameraSource.PREDICTED
    np.testing.assert_allclose(prediction.camera.K[0, 0], 32.0)


def test_a_known_camera_goes_before_the_predicted_one() -> None:
    camera = Camera(K=np.array([[80.0, 0, 31.5], [0, 80.0, 23.5], [0, 0, 1]]))
    photo = Photo(pixels=grey(100).pixels, camera=camera)
    [prediction] = brightness(fov=90.0).predict_raw([photo])
    assert prediction.camera == camera


@pytest.mark.parametrize(("focal", "factor"), [(None, 0.5), (80.0, 80 / 64)])
def test_depth_for_a_focal_length_of_the_width_is_brought_to_the_cameras(
    focal: float | None, factor: float
) -> None:
    photo = grey(255)
    if focal is not None:
        camera = Camera(K=np.array([[focal, 0, 31.5], [0, focal, 23.5], [0, 0, 1]]))
        photo = Photo(pixels=photo.pixels, camera=camera)
    [prediction] = brightness(fov=90.0, focal=True).predict_raw([photo])
    np.testing.assert_allclose(prediction.depth.values, 1.25 * factor, rtol=1e-6)


def test_a_network_that_needs_the_focal_length_says_so() -> None:
    with pytest.raises(ModelError, match="give fov"):
        brightness(focal=True).predict_raw([grey(100)])


def test_an_impossible_field_of_view_is_refused() -> None:
    with pytest.raises(ModelError, match="190 degrees"):
        brightness(fov=190.0).predict_raw([grey(100)])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (LoadOptions(engine="openvino"), "runs with torch, not with openvino"),
        (LoadOptions(engine="tensorrt"), "no engine 'tensorrt'"),
        (LoadOptions(precision="int4"), "does not offer the precision 'int4'"),
        (LoadOptions(precision="fp16", device="cpu"), "fp16 needs a GPU"),
        (LoadOptions(device="tpu"), "no device 'tpu'"),
        (LoadOptions(device="coreml"), "'coreml' is only for ONNX files"),
        (LoadOptions(device="cuda:99"), "'cuda:99' is not available"),
    ],
)
def test_options_that_cannot_be_are_refused(options: LoadOptions, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        brightness(options=options)


def test_less_precision_is_less_exact_and_said() -> None:
    preparation = Preparation(sizing=SIZING)
    exact, rough = (
        TorchModel(
            CARD,
            Matrices(preparation),
            LoadOptions(precision=precision, device="cpu"),
            weights_sha256="0" * 64,
        )
        for precision in ("fp32", "bf16")
    )
    photo = grey(77)
    [true], [near] = exact.predict_raw([photo]), rough.predict_raw([photo])
    assert true.depth is not None
    assert near.depth is not None
    difference = np.abs(true.depth.values - near.depth.values).max()
    assert 0 < difference < 0.01
    assert near.made_by.settings["precision"] == "bf16"


class Failing(TorchNetwork):
    def compute_outputs(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return (pixels @ pixels.new_zeros(1000, 3),)


class Miscounting(TorchNetwork):
    """Network of a checkpoint whose config names a layer that it lacks."""

    def compute_outputs(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return ([pixels][3],)


class Mismatched(TorchNetwork):
    """Network of a checkpoint whose parts have different numbers of layers."""

    def compute_outputs(self, pixels: Tensor) -> tuple[Tensor, ...]:
        raise ValueError("The number of hidden states should be equal to the number of sizes.")


@pytest.mark.parametrize("network", [Failing, Miscounting, Mismatched])
def test_a_network_that_fails_is_one_line(network: type[TorchNetwork]) -> None:
    model = TorchModel(
        CARD, network(Preparation(sizing=SIZING)), LoadOptions(), weights_sha256="0" * 64
    )
    with pytest.raises(ModelError, match=r"failed on 1 photograph of 40 x 32 pixels: ") as caught:
        model.predict_raw([grey(1)])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("resampling", "dtype"),
    [(Resampling.BICUBIC, torch.uint8), (Resampling.BILINEAR_POINTS, torch.float32)],
)
def test_photographs_come_in_the_type_of_their_resampling(
    resampling: Resampling, dtype: torch.dtype
) -> None:
    network = Brightness(Preparation(sizing=SIZING, resampling=resampling))
    black = network.preparation.pixels(np.zeros((48, 64, 3), np.uint8))
    image = torch.from_numpy(np.array(black))[None]
    assert image.dtype is dtype
    assert tuple(image.shape) == (1, 32, 40, 3)
    [depth] = network(image)
    assert depth.dtype is torch.float32
