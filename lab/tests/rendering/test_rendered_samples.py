"""Scenes made by chance: frames that repeat, exact and consistent depth, normals and camera."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Float64
from PIL import Image

from lab.scenes import TextureBank, make_textures, render
from lab.scenes.contact import contact_sheet
from lab.scenes.pictures import read_photographs, scikit_image_photographs
from lab.scenes.textures import TEXELS
from rilievo.errors import InputError
from rilievo.records.sample import Sample

SIZE = (48, 64)
SEEDS = range(24)


@pytest.fixture(scope="module")
def samples(textures: TextureBank) -> list[Sample]:
    return [render(seed, size=SIZE, textures=textures) for seed in SEEDS]


def rays_of(sample: Sample) -> Float64[np.ndarray, "3 h w"]:
    """K⁻¹ (u, v, 1)ᵀ, written anew from the convention."""
    assert sample.camera is not None
    height, width = sample.image.shape[:2]
    v, u = np.mgrid[:height, :width].astype(float)
    pixels = np.stack([u, v, np.ones_like(u)]).reshape(3, -1)
    return (np.linalg.inv(sample.camera.K) @ pixels).reshape(3, height, width)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_frame_and_another_seed_another(
    textures: TextureBank, samples: list[Sample]
) -> None:
    again = render(3, size=SIZE, textures=textures)
    np.testing.assert_array_equal(again.image, samples[3].image)
    np.testing.assert_array_equal(again.depth, samples[3].depth)
    np.testing.assert_array_equal(again.normals, samples[3].normals)
    assert not np.array_equal(again.image, samples[4].image)


def test_depth_normals_and_K_tell_of_the_same_surface(samples: list[Sample]) -> None:
    """Normals of finite differences of unprojected depth, on faces that are flat around a pixel."""
    errors = []
    for sample in samples:
        assert sample.depth is not None
        assert sample.depth_valid is not None
        assert sample.normals is not None
        points = rays_of(sample) * sample.depth
        across = points[:, 1:-1, 2:] - points[:, 1:-1, :-2]
        down = points[:, 2:, 1:-1] - points[:, :-2, 1:-1]
        normal = np.cross(across, down, axis=0)
        normal /= np.linalg.norm(normal, axis=0) + 1e-12
        flat = sample.depth_valid[1:-1, 1:-1].copy()
        given = sample.normals[:, 1:-1, 1:-1]
        before, same, after = slice(0, -2), slice(1, -1), slice(2, None)
        for rows, columns in ((before, same), (after, same), (same, before), (same, after)):
            flat &= sample.depth_valid[rows, columns]
            flat &= np.abs(sample.normals[:, rows, columns] - given).max(axis=0) < 1e-4
        # Which way a difference points depends on nothing but the image axes: away from us.
        cosine = -(normal * given).sum(axis=0)[flat]
        errors.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    # The last tenth are parallel faces one behind the other, where a difference spans a step.
    assert np.percentile(np.concatenate(errors), 90) < 0.1


def test_normals_are_unit_and_face_the_camera(samples: list[Sample]) -> None:
    for sample in samples:
        assert sample.normals is not None
        assert sample.normals_valid is not None
        valid = sample.normals_valid
        lengths = np.linalg.norm(sample.normals, axis=0)[valid]
        np.testing.assert_allclose(lengths, 1.0, atol=1e-4)
        assert ((rays_of(sample) * sample.normals).sum(axis=0)[valid] < 1e-4).all()


def test_a_pixel_is_either_surface_or_sky(samples: list[Sample]) -> None:
    for sample in samples:
        assert sample.sky is not None
        assert sample.depth is not None
        assert sample.depth_valid is not None
        np.testing.assert_array_equal(sample.sky, ~sample.depth_valid)
        np.testing.assert_array_equal(sample.sky, ~sample.normals_valid)
        assert (sample.depth[sample.depth_valid] > 0).all()
        assert sample.depth.max() <= 400.0
    assert any(sample.sky is not None and sample.sky.any() for sample in samples)
    assert any(sample.sky is not None and not sample.sky.any() for sample in samples)


def test_images_are_neither_black_nor_white_nor_flat(samples: list[Sample]) -> None:
    means = np.array([sample.image.mean() for sample in samples])
    assert (means > 25).all()
    assert (means < 230).all()
    assert np.median([sample.image.std() for sample in samples]) > 20


def test_mip_levels_of_a_texture_keep_its_mean(textures: TextureBank) -> None:
    assert textures.texels.shape[1] == TEXELS
    for texture in textures.texels[::5]:
        assert abs(texture[: 256 * 256].mean() - texture[-64:].mean()) < 1.5


def test_photographs_are_those_bundled_and_those_given(tmp_path: Path) -> None:
    assert all(photo.shape[2] == 3 for photo in scikit_image_photographs())
    Image.new("L", (40, 30), 90).save(tmp_path / "grey.png")
    (photo,) = read_photographs([tmp_path])
    assert photo.shape == (30, 40, 3)
    assert make_textures([photo], share=0.01).texels.shape[1] == TEXELS


def test_a_folder_without_photographs_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no photograph here"):
        read_photographs([tmp_path / "missing"])
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"broken\.png"):
        read_photographs([tmp_path])


def test_the_contact_sheet_lays_image_depth_and_normals_side_by_side(samples: list[Sample]) -> None:
    sheet = contact_sheet(samples[:4], columns=3)
    assert sheet.shape == (2 * 48, 3 * 3 * 64, 3)
    np.testing.assert_array_equal(sheet[:48, :64], samples[0].image)


@pytest.mark.parametrize("package", ["numba", "cv2"])
def test_a_missing_package_names_the_extra(package: str) -> None:
    block = f"import sys; sys.modules['{package}'] = None; "
    code = block + "from lab.scenes import render"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "rendering synthetic scenes needs the extra 'train'" in done.stderr
    code = block + "import runpy; runpy.run_module('lab.scenes', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "rendering synthetic scenes needs the extra 'train': pip install 'rilievo[train]'"
    ]
