"""Official checkpoints: every published shape, and that our networks say what theirs do."""

import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from rilievo.errors import ModelError, RilievoError
from rilievo.records.depth_map import DepthKind
from rilievo.training.networks.blueprint import PoseKind
from rilievo.training.networks.video.monodepth2_weights import read_official_checkpoint
from rilievo.training.networks.video.video_networks import VideoNetworks, make_networks
from support.official_checkpoints import (
    exact_state,
    plain_cnn_motion,
    plain_disparities,
    plain_features,
    plain_motion,
    write_checkpoint,
)

SIZE = (64, 96)


pytestmark = pytest.mark.usefixtures("one_thread")


def loaded(folder: Path, name: str) -> OrderedDict[str, torch.Tensor]:
    return torch.load(folder / name, weights_only=True)


def started_from(folder: Path) -> VideoNetworks:
    blueprint = read_official_checkpoint(folder).blueprint
    networks = make_networks(blueprint, offsets=(-1, 1), seed=3, start=str(folder))
    return networks.eval().double()


def frames(count: int) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    return [torch.rand(1, 3, *SIZE, generator=random).double() for _ in range(count)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("whole"), size=SIZE)


@pytest.fixture
def copied(whole: Path, tmp_path: Path) -> Path:
    """A checkpoint whose files may be replaced."""
    folder = tmp_path / "model"
    folder.mkdir()
    for each in whole.iterdir():
        (folder / each.name).hardlink_to(each)
    return folder


def replace(folder: Path, name: str, held: object) -> None:
    (folder / name).unlink()
    torch.save(held, folder / name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoder", "scales"),
    [
        ("resnet18", (0, 1, 2, 3)),
        ("resnet18", (0,)),
        ("resnet18", (1, 3)),
        ("resnet34", (0, 1, 2, 3)),
        ("resnet50", (0, 1, 2, 3)),
        ("resnet101", (0, 1, 2, 3)),
        ("resnet152", (0, 1, 2, 3)),
    ],
)
def test_a_checkpoint_of_any_shape_says_what_its_tensors_say(
    tmp_path: Path, encoder: str, scales: tuple[int, ...]
) -> None:
    write_checkpoint(tmp_path, encoder=encoder, size=SIZE, scales=scales, pose=None)
    [image] = frames(1)
    networks = started_from(tmp_path)
    assert networks.blueprint.encoder == encoder
    assert networks.blueprint.scales == scales
    expected = plain_disparities(
        exact_state(tmp_path, "encoder.pth"),
        exact_state(tmp_path, "depth.pth"),
        image,
        name=encoder,
        scales=scales,
    )
    with torch.no_grad():
        said = networks.depth(image)
    with_gradients = networks.depth(image)
    for scale, mine, in_training in zip(scales, said, with_gradients, strict=True):
        assert mine.shape == (1, 1, SIZE[0] >> scale, SIZE[1] >> scale)
        torch.testing.assert_close(mine, expected[scale], atol=1e-9, rtol=0)
        torch.testing.assert_close(in_training, expected[scale], atol=1e-9, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("pose_encoder", ["resnet18", "resnet50"])
def test_the_pose_network_says_what_its_tensors_say(tmp_path: Path, pose_encoder: str) -> None:
    write_checkpoint(tmp_path, size=SIZE, pose_encoder=pose_encoder)
    earlier, later = frames(2)
    networks = started_from(tmp_path)
    maps = plain_features(
        exact_state(tmp_path, "pose_encoder.pth"), pose_encoder, torch.cat([earlier, later], 1)
    )
    expected = plain_motion(exact_state(tmp_path, "pose.pth"), [maps[-1]])
    with torch.no_grad():
        said = networks.pose(earlier, later)
    for mine, theirs in zip(said, expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-12, rtol=1e-9)


@pytest.mark.slow
def test_a_shared_encoder_and_a_pose_cnn_say_what_their_tensors_say(tmp_path: Path) -> None:
    earlier, later = frames(2)
    write_checkpoint(tmp_path / "shared", size=SIZE, pose="shared")
    write_checkpoint(tmp_path / "cnn", size=SIZE, pose="cnn")
    encoder = exact_state(tmp_path / "shared", "encoder.pth")
    maps = [plain_features(encoder, "resnet18", each)[-1] for each in (earlier, later)]
    expected = {
        "shared": plain_motion(exact_state(tmp_path / "shared", "pose.pth"), maps),
        "cnn": plain_cnn_motion(
            exact_state(tmp_path / "cnn", "pose.pth"), torch.cat([earlier, later], 1)
        ),
    }
    for kind, theirs in expected.items():
        networks = started_from(tmp_path / kind)
        assert networks.blueprint.pose == PoseKind(kind)
        with torch.no_grad():
            said = networks.pose(earlier, later)
        for mine, each in zip(said, theirs, strict=True):
            torch.testing.assert_close(mine, each, atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize(
    ("size", "stereo", "zipped"), [((192, 640), False, False), ((320, 1024), True, True)]
)
def test_encoder_pth_says_size_and_whether_depth_is_in_metres(
    tmp_path: Path, size: tuple[int, int], stereo: bool, zipped: bool
) -> None:
    write_checkpoint(tmp_path, size=size, stereo=stereo, pose=None, zipped=zipped)
    blueprint = read_official_checkpoint(tmp_path).blueprint
    assert blueprint.size == size
    assert blueprint.kind is (DepthKind.METRIC if stereo else DepthKind.UP_TO_SCALE)
    assert blueprint.unit == (5.4 if stereo else 1.0)
    assert (blueprint.min_depth, blueprint.max_depth) == (0.1, 100.0)


@pytest.mark.slow
def test_files_of_a_torch_that_did_not_count_batches_are_read(copied: Path) -> None:
    held = loaded(copied, "encoder.pth")
    kept = {key: each for key, each in held.items() if not key.endswith("num_batches_tracked")}
    replace(copied, "encoder.pth", kept)
    assert read_official_checkpoint(copied).depth["encoder.encoder.bn1.num_batches_tracked"] == 0


class _Payload:
    """Payload with which an unpickler that runs code would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.path,))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["encoder.pth", "depth.pth", "pose.pth", "pose_encoder.pth"])
@pytest.mark.parametrize("bare", [False, True])
def test_code_in_a_file_is_refused_and_not_run(copied: Path, name: str, bare: bool) -> None:
    touched = copied.parent / "touched"
    payload = _Payload(touched)
    if bare:
        (copied / name).unlink()
        (copied / name).write_bytes(pickle.dumps(payload))
    else:
        replace(copied, name, {**loaded(copied, name), "payload": payload})
    with pytest.raises(ModelError, match=rf"{name}: contains more than tensors") as caught:
        read_official_checkpoint(copied)
    assert "\n" not in str(caught.value)
    assert not touched.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("encoder.pth", {"encoder.bn1.weight": None}, r"missing: encoder\.bn1\.weight"),
        (
            "encoder.pth",
            {"encoder.conv1.weight": torch.zeros(64, 4, 7, 7)},
            r"encoder\.conv1\.weight \(64, 4, 7, 7\) instead of \(64, 3, 7, 7\)",
        ),
        ("encoder.pth", {"encoder.layer3.1.conv1.weight": None}, "have 2, 2, 1, 2 blocks"),
        ("encoder.pth", {"encoder.bn1.bias": "none"}, "'encoder.bn1.bias' is not a numeric tensor"),
        (
            "encoder.pth",
            {"encoder.bn1.bias": torch.zeros(64, dtype=torch.complex64)},
            "is torch.complex64, expected float32",
        ),
        ("encoder.pth", {"height": None}, "its height is None"),
        (
            "encoder.pth",
            {"height": 190},
            r"multiples of 32 and at least 64, such as 192,640, got \(190, 96\)",
        ),
        ("encoder.pth", {"use_stereo": 1}, "use_stereo is 1, expected true or false"),
        ("depth.pth", {"decoder.10.conv.weight": None}, "its heads"),
        (
            "depth.pth",
            {"decoder.12.conv.weight": torch.zeros(1, 20, 3, 3)},
            "for 16, 32, 64, 128 channels",
        ),
        ("depth.pth", {"decoder.12.conv.weight": torch.zeros(3)}, "its heads"),
        ("depth.pth", {"decoder.3.conv.conv.bias": torch.zeros(9)}, r"\(9,\) instead of \(128,\)"),
        ("pose.pth", {"net.1.weight": torch.zeros(256, 768, 3, 3)}, "for 3 frames at once"),
        ("pose.pth", {"net.3.bias": torch.zeros(6)}, r"\(6,\) instead of \(12,\)"),
    ],
)
def test_a_file_of_another_network_is_named_with_what_is_wrong(
    copied: Path, name: str, change: dict[str, object], words: str
) -> None:
    held = {**loaded(copied, name), **change}
    replace(copied, name, {key: each for key, each in held.items() if each is not None})
    with pytest.raises(ModelError, match=words) as caught:
        read_official_checkpoint(copied)
    assert str(caught.value).startswith(str(copied / name))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.0001, 0.3, 0.999])
def test_a_file_that_is_cut_off_is_refused_in_a_line(
    copied: Path, zipped: bool, share: float
) -> None:
    held, path = loaded(copied, "depth.pth"), copied / "depth.pth"
    path.unlink()
    torch.save(held, path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(RilievoError, match=r"depth\.pth: ") as caught:
        read_official_checkpoint(copied)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"<!DOCTYPE html><html>", b"version https://git-lfs.github.com/spec/v1\n"]
)
def test_what_a_failed_download_left_is_not_taken_for_code(copied: Path, content: bytes) -> None:
    (copied / "encoder.pth").unlink()
    (copied / "encoder.pth").write_bytes(content)
    with pytest.raises(ModelError, match=r"encoder\.pth: is not a PyTorch file.*download it again"):
        read_official_checkpoint(copied)


@pytest.mark.parametrize("held", [[1, 2], torch.zeros(3), {1: torch.zeros(3)}, 7])
def test_a_file_that_holds_anything_else_is_refused(copied: Path, held: object) -> None:
    replace(copied, "encoder.pth", held)
    with pytest.raises(ModelError, match="expected named tensors"):
        read_official_checkpoint(copied)


@pytest.mark.parametrize(
    ("name", "words"), [("depth.pth", "has no depth"), ("pose_encoder.pth", "but no pose_encoder")]
)
def test_a_missing_file_is_named(copied: Path, name: str, words: str) -> None:
    (copied / name).unlink()
    with pytest.raises(ModelError, match=words):
        read_official_checkpoint(copied)


def test_pose_files_are_not_needed_for_depth(copied: Path) -> None:
    (copied / "pose.pth").unlink()
    read = read_official_checkpoint(copied)
    assert read.pose is None
    assert read.blueprint.pose is PoseKind.NONE
