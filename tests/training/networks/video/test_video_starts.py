"""Initial weights of video networks: ImageNet, a run, an official checkpoint, or none."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from rilievo.errors import ModelError
from rilievo.training.networks.blueprint import PoseKind, VideoBlueprint
from rilievo.training.networks.video.video_networks import make_networks
from support.official_checkpoints import write_checkpoint

SIZE = (64, 96)
SMALL = VideoBlueprint(encoder="lite", pose=PoseKind.CNN, size=SIZE)


pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_same_seed_makes_the_same_networks() -> None:
    one, same, other = (make_networks(SMALL, offsets=(1,), seed=each) for each in (1, 1, 2))
    key = "depth.encoder.stem.0.0.weight"
    assert torch.equal(one.state_dict()[key], same.state_dict()[key])
    assert not torch.equal(one.state_dict()[key], other.state_dict()[key])


class _Published(nn.Module):
    """Stands for what timm fetches."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.body = timm.create_model(name.partition(".")[0])
        for index, each in enumerate(self.body.parameters()):
            nn.init.constant_(each, index)
        nn.init.normal_(self.body.conv1.weight)

    def state_dict(self, *args: object, **kwargs: object) -> dict[str, Tensor]:
        return self.body.state_dict()


def test_imagenet_fills_both_encoders_and_halves_the_first_layer_over_two_frames(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    published = _Published("resnet18.tv_in1k")
    create, made = SimpleNamespace(names=[]), timm.create_model

    def fetched(name: str, *, pretrained: bool = False, **options: Any) -> nn.Module:
        if not pretrained:
            return made(name, **options)
        create.names.append((name, pretrained))
        return published

    monkeypatch.setattr(timm, "create_model", fetched)
    blueprint = VideoBlueprint(size=SIZE)
    networks = make_networks(blueprint, offsets=(-1, 1), seed=0, start="imagenet")
    assert create.names == [("resnet18.tv_in1k", True)] * 2
    theirs = published.state_dict()
    mine, pose = networks.depth.encoder.encoder, networks.pose.encoder.encoder
    assert torch.equal(mine.conv1.weight, theirs["conv1.weight"])
    assert torch.equal(mine.layer4[1].conv2.weight, theirs["layer4.1.conv2.weight"])
    assert torch.equal(pose.layer4[1].conv2.weight, theirs["layer4.1.conv2.weight"])
    assert pose.conv1.weight.shape == (64, 6, 7, 7)
    # Two equal frames give what one gives.
    frame = torch.rand(1, 3, *SIZE)
    said = pose.conv1(torch.cat([frame, frame], 1))
    torch.testing.assert_close(said, mine.conv1(frame), atol=1e-3, rtol=1e-3)
    assert networks.notes == ()


def test_imagenet_without_a_network_says_so_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    made = timm.create_model

    def refused(name: str, *, pretrained: bool = False, **options: Any) -> nn.Module:
        if not pretrained:
            return made(name, **options)
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(timm, "create_model", refused)
    with pytest.raises(
        ModelError, match=r"resnet18\.tv_in1k.*is there an internet connection"
    ) as caught:
        make_networks(VideoBlueprint(size=SIZE), offsets=(1,), seed=0, start="imagenet")
    assert "\n" not in str(caught.value)


def test_the_light_encoder_has_no_published_weights_and_it_is_said() -> None:
    networks = make_networks(SMALL, offsets=(1,), seed=0, start="imagenet")
    assert networks.notes == (
        "the encoder lite has no published weights, so it starts from random weights",
    )


@pytest.mark.slow
def test_a_start_from_a_run_takes_all_that_it_holds(tmp_path: Path) -> None:
    source = make_networks(SMALL, offsets=(1,), seed=5)
    save_file(source.state_dict(), tmp_path / "weights.safetensors")
    networks = make_networks(SMALL, offsets=(1,), seed=6, start=str(tmp_path))
    for key, each in networks.state_dict().items():
        assert torch.equal(each, source.state_dict()[key]), key
    assert networks.notes == ()


def test_what_a_run_does_not_hold_starts_from_random_weights_and_is_said(tmp_path: Path) -> None:
    source = make_networks(replace(SMALL, pose=PoseKind.NONE), offsets=(1,), seed=5)
    save_file(source.state_dict(), tmp_path / "weights.safetensors")
    networks = make_networks(SMALL, offsets=(1,), seed=6, start=str(tmp_path))
    [note] = networks.notes
    assert note.endswith("contains no pose network, so this network starts from random weights")


@pytest.mark.slow
def test_a_run_of_other_networks_is_refused_by_its_first_tensors(tmp_path: Path) -> None:
    source = make_networks(SMALL, offsets=(1,), seed=5)
    save_file(source.state_dict(), tmp_path / "weights.safetensors")
    other = replace(SMALL, encoder="timm/test_resnet")
    with pytest.raises(ModelError, match=r"weights\.safetensors.*missing: depth\.encoder\.body"):
        make_networks(other, offsets=(1,), seed=6, start=str(tmp_path))


@pytest.mark.parametrize("broken", ["nothing", "text", "cut"])
def test_a_folder_to_start_from_that_holds_nothing_is_refused(tmp_path: Path, broken: str) -> None:
    path, words = tmp_path / "weights.safetensors", "no readable weights"
    if broken == "nothing":
        words = "has no weights to start from; expected 'imagenet'"
    elif broken == "text":
        path.write_text("weights")
    else:
        save_file({"depth.a": torch.zeros(100)}, path)
        path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ModelError, match=words) as caught:
        make_networks(SMALL, offsets=(1,), seed=6, start=str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_an_official_checkpoint_without_pose_leaves_it_at_random_and_says_so(
    tmp_path: Path,
) -> None:
    write_checkpoint(tmp_path, size=SIZE, pose=None)
    blueprint = VideoBlueprint(size=SIZE, scales=(1, 3))
    networks = make_networks(blueprint, offsets=(-1, 1), seed=0, start=str(tmp_path))
    [note] = networks.notes
    assert "contains no pose network (pose.pth), so this network starts from random weights" in note
    # The heads that are kept are those of their scales, not the first of the file.
    theirs = torch.load(tmp_path / "depth.pth", weights_only=True)
    heads = networks.depth.decoder.decoder[10:]
    assert torch.equal(heads[0].conv.weight, theirs["decoder.11.conv.weight"])
    assert torch.equal(heads[1].conv.weight, theirs["decoder.13.conv.weight"])


@pytest.mark.slow
def test_an_official_checkpoint_of_other_networks_is_refused(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, size=SIZE)
    start = str(tmp_path)
    with pytest.raises(ModelError, match="choose the encoder resnet18"):
        make_networks(replace(SMALL, encoder="resnet34"), offsets=(1,), seed=0, start=start)
    with pytest.raises(ModelError, match="choose the pose network separate"):
        make_networks(replace(SMALL, encoder="resnet18"), offsets=(1,), seed=0, start=start)
