"""The feature cache: the same numbers again, how exact, and what it refuses."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from rilievo.errors import InputError, OptionError, OutputError
from rilievo.io.verification import verify
from rilievo.training.networks.backbones import Backbone, make_backbone
from rilievo.training.networks.features import Features
from rilievo.training.probe.feature_cache import (
    FeatureCache,
    FeatureFileLayout,
    FeatureKey,
    encode_features,
    open_features,
)

STAMP = FeatureKey(identity=b"i" * 32, image=b"p" * 32)


def images(count: int, *, seed: int = 0, size: tuple[int, int] = (20, 28)) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, *size, 3), generator=generator, dtype=torch.uint8)


def means(**options: Any) -> Backbone:
    return make_backbone("support.tiny_backbones:Means", tokens=True, **options)


def computed(backbone: Backbone, image: Tensor) -> Features:
    with torch.no_grad():
        return backbone(image.permute(0, 3, 1, 2) / 255)


def files_of(cache: FeatureCache) -> list[Path]:
    return sorted(cache.folder.glob("*/*.features"))


def test_kept_features_are_those_computed_within_the_stated_error(tmp_path: Path) -> None:
    backbone, image = means(), images(3)
    cache = FeatureCache.open(tmp_path, backbone)
    first, expected = cache.features(image), computed(backbone, image)
    assert (cache.hit_count, cache.computed_count) == (0, 3)
    again = FeatureCache.open(tmp_path, means())
    second = again.features(image[[2, 0]])
    assert (again.hit_count, again.computed_count) == (2, 0)
    assert (second.padded, second.box) == (expected.padded, expected.box)
    for kept, later, true in zip(first.maps, second.maps, expected.maps, strict=True):
        assert later.equal(kept[[2, 0]])
        assert ((kept - true).abs() <= true.abs() / 2048 * 1.001 + 3e-8).all()
    for index in range(2):
        assert first.tokens is not None
        assert expected.tokens is not None
        torch.testing.assert_close(first.tokens[index], expected.tokens[index])


@given(values=st.lists(st.floats(-6e4, 6e4, width=32), min_size=12, max_size=12))
def test_whatever_numbers_come_back_within_the_stated_error(
    values: list[float], tmp_path_factory: pytest.TempPathFactory
) -> None:
    layer = torch.tensor(values).view(2, 2, 3)
    layout = FeatureFileLayout(shapes=((2, 2, 3),), has_tokens=False)
    path = tmp_path_factory.mktemp("file") / "one.features"
    path.write_bytes(encode_features([layer], None, layout, STAMP))
    back = torch.empty(2, 2, 3)
    open_features(path, layout, STAMP).copy_map_into(back, 0)
    assert ((back - layer).abs() <= layer.abs() / 2048 * 1.0001 + 3.1e-8).all()


def test_the_file_is_a_header_and_numbers_as_described(tmp_path: Path) -> None:
    backbone, image = means(layers=(1,)), images(1, size=(16, 24))
    cache = FeatureCache.open(tmp_path, backbone)
    cache.features(image)
    [path] = files_of(cache)
    data = path.read_bytes()
    assert len(data) == 128 + 36 + 3 * 4  # 3 x 2 x 3 numbers of two bytes, and the token
    assert len(data) == cache.layout((16, 24)).file_bytes
    cells = image[0].double().reshape(2, 8, 3, 8, 3).mean((1, 3)).permute(2, 0, 1) / 255
    numbers = np.frombuffer(data, "<f2", 18, 128).reshape(3, 2, 3)
    np.testing.assert_allclose(numbers, cells.numpy(), rtol=1.001 / 2048)
    token = struct.unpack("<3f", data[164:176])
    assert token == pytest.approx((2 * image[0].double().mean((0, 1)) / 255).tolist(), rel=1e-5)


def test_only_what_is_missing_is_computed_and_a_stopped_run_goes_on(tmp_path: Path) -> None:
    image = images(4)
    cache = FeatureCache.open(tmp_path, means())
    cache.features(image[:2])
    before = {path: path.stat().st_mtime_ns for path in files_of(cache)}
    part = files_of(cache)[0].with_name(".half.999999999-0.rilievo-part")
    part.write_bytes(b"half")
    cache = FeatureCache.open(tmp_path, means())
    assert not part.exists()
    cache.features(image)
    assert (cache.hit_count, cache.computed_count) == (2, 2)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(files_of(cache)) == 4


def test_a_changed_version_of_an_image_has_features_of_its_own(tmp_path: Path) -> None:
    cache, image = FeatureCache.open(tmp_path, means()), images(1)
    flipped = image.flip(2)
    plain, mirrored = cache.features(image).maps[0], cache.features(flipped).maps[0]
    assert cache.computed_count == 2
    torch.testing.assert_close(mirrored, plain.flip(3), rtol=2e-3, atol=1e-3)
    assert not mirrored.equal(plain)


def test_whatever_changes_features_has_a_folder_of_its_own(tmp_path: Path) -> None:
    learnt = "support.tiny_backbones:Learnt"
    backbones = [
        make_backbone(learnt, seed=0),
        make_backbone(learnt, seed=1),
        means(),
        means(layers=(0,)),
        make_backbone("support.tiny_backbones:Means"),
    ]
    folders = [FeatureCache.open(tmp_path, backbone).folder for backbone in backbones]
    folders += [
        FeatureCache.open(tmp_path, means(), precision="bf16").folder,
    ]
    assert len(set(folders)) == len(folders)
    assert FeatureCache.open(tmp_path, make_backbone(learnt, seed=0)).folder == folders[0]


def test_a_full_cache_says_so_before_and_during(tmp_path: Path) -> None:
    backbone = means()
    file_bytes = FeatureCache.open(tmp_path, backbone).layout((20, 28)).file_bytes
    cache = FeatureCache.open(tmp_path, backbone, limit_megabytes=2.5 * file_bytes / 1e6)
    with pytest.raises(OutputError, match="the feature cache is full: it uses 0 MB of 0 MB"):
        cache.features(images(3))
    cache.features(images(2))
    with pytest.raises(OutputError, match=r"raise the limit .*, use fewer layers"):
        cache.features(images(1, seed=9))
    assert len(files_of(cache)) == 2
    files_of(cache)[0].unlink()
    cache.features(images(1, seed=9))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"x" + data[1:], "is not a cache file with"),
        (lambda data: data[:20] + b"\0" + data[21:], "features from another backbone or setting"),
        (lambda data: data[:50] + b"\0\0" + data[52:], "features from another image"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_refused(
    damage: Any, message: str, tmp_path: Path
) -> None:
    cache = FeatureCache.open(tmp_path, means())
    cache.features(images(1))
    [path] = files_of(cache)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=f"{path.name}: .*{message}"):
        cache.features(images(1))


@pytest.mark.parametrize("length", [0, 60, -1])
def test_a_file_that_a_power_cut_left_short_is_made_again(length: int, tmp_path: Path) -> None:
    cache = FeatureCache.open(tmp_path, means())
    cache.features(images(1))
    [path] = files_of(cache)
    whole = path.read_bytes()
    path.write_bytes(whole[:length])
    cache.features(images(1))
    assert path.read_bytes() == whole


def test_a_file_that_a_power_cut_left_blank_is_made_again(tmp_path: Path) -> None:
    cache = FeatureCache.open(tmp_path, means())
    kept = cache.features(images(1))
    [path] = files_of(cache)
    path.write_bytes(bytes(path.stat().st_size))
    assert cache.features(images(1)).maps[0].equal(kept.maps[0])
    assert cache.computed_count == 2


@pytest.mark.parametrize("leads", ["nowhere", "itself"])
def test_a_link_that_leads_nowhere_is_replaced(tmp_path: Path, leads: str) -> None:
    cache = FeatureCache.open(tmp_path, means())
    cache.features(images(1))
    [path] = files_of(cache)
    whole = path.read_bytes()
    path.unlink()
    path.symlink_to(path.name if leads == "itself" else "nothing")
    cache.features(images(1))
    assert not path.is_symlink()
    assert path.read_bytes() == whole


@pytest.mark.parametrize("place", [0, 20, 90, 200, -1])
def test_verify_finds_a_changed_byte(place: int, tmp_path: Path) -> None:
    cache = FeatureCache.open(tmp_path, means())
    cache.features(images(2))
    assert verify(tmp_path).whole == 2
    path = files_of(cache)[1]
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    assert [fault.file for fault in verify(tmp_path).faults] == [str(path)]


def test_a_folder_whose_record_differs_is_refused(tmp_path: Path) -> None:
    record = FeatureCache.open(tmp_path, means()).folder / "features.json"
    record.write_text(record.read_text().replace('"version": 1', '"version": 0'))
    with pytest.raises(InputError, match=r"features\.json: describes features of another"):
        FeatureCache.open(tmp_path, means())


@pytest.mark.parametrize("place", [1, 40, -1])
@pytest.mark.parametrize("zeros", [False, True])
def test_a_record_that_was_cut_is_written_anew_and_the_features_are_kept(
    place: int, zeros: bool, tmp_path: Path
) -> None:
    cache = FeatureCache.open(tmp_path, means())
    cache.features(images(2))
    record = cache.folder / "features.json"
    whole = record.read_bytes()
    record.write_bytes(whole[:place] + (b"\0" * len(whole[place:]) if zeros else b""))
    again = FeatureCache.open(tmp_path, means())
    again.features(images(2))
    assert (again.hit_count, again.computed_count) == (2, 0)
    assert record.read_bytes() == whole


def test_a_backbone_that_is_trained_is_refused(tmp_path: Path) -> None:
    backbone = make_backbone("support.tiny_backbones:Learnt")
    with pytest.raises(OptionError, match="is being trained, so its features change"):
        FeatureCache.open(tmp_path, backbone.requires_grad_(True))
    with pytest.raises(OptionError, match="is being trained"):
        FeatureCache.open(tmp_path, backbone.requires_grad_(False).train())
    with pytest.raises(OptionError, match="needs a limit above 0 MB"):
        FeatureCache.open(tmp_path, backbone.eval(), limit_megabytes=0.0)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (float("nan"), "Learnt': the features of selected layer 0 .* NaN or infinite"),
        (1e6, "too large for 16-bit floats: train without the cache"),
    ],
)
def test_numbers_that_cannot_be_kept_are_told(weight: float, message: str, tmp_path: Path) -> None:
    backbone = make_backbone("support.tiny_backbones:Learnt")
    body = backbone.get_submodule("body")
    assert isinstance(body, nn.Conv2d)
    body.weight.fill_(weight)
    cache = FeatureCache.open(tmp_path, backbone)
    with pytest.raises(InputError, match=message):
        cache.features(images(1))
    assert not files_of(cache)
