"""Files of phones, studios and reconstruction programs, read by their documentation."""

import gzip
import io
import json
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rilievo.cli import main
from rilievo.errors import RilievoError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.equirectangular import Equirectangular
from rilievo.io.outputs.sidecar import read_sidecar
from rilievo.prediction.saving import SaveOptions, metre_notes, save
from rilievo.records.depth_map import DepthKind
from support.ply_files import read_ply
from support.predictions import prediction


def plane_of(path: Path, channels: int) -> np.ndarray:
    """A map of COLMAP as its own read_write_dense.py reads it: x fastest, then y, then channel."""
    with path.open("rb") as file:
        width, height, count = np.genfromtxt(
            file, delimiter="&", max_rows=1, usecols=(0, 1, 2), dtype=int
        )
        file.seek(0)
        ampersands = 0
        while ampersands < 3:
            ampersands += file.read(1) == b"&"
        values = np.fromfile(file, np.float32)
    assert count == channels
    rows = values.reshape((width, height, count), order="F")
    return np.transpose(rows, (1, 0, 2)).squeeze()


def test_colmap_reads_depth_and_normals(tmp_path: Path) -> None:
    answer = prediction()
    depth_path, normals_path, _ = save(answer, tmp_path / "x", ["colmap", "colmap-normals"])
    depth, normals = plane_of(depth_path, 1), plane_of(normals_path, 3)
    valid = answer.depth.valid
    np.testing.assert_array_equal(depth[valid], answer.depth.values[valid])
    assert (depth[~valid] == 0).all()
    assert (~valid).any()
    np.testing.assert_array_equal(normals[valid], np.moveaxis(answer.normals, 0, 2)[valid])
    assert (normals[~valid] == 0).all()


def test_a_pfm_holds_rows_from_the_bottom_up(tmp_path: Path) -> None:
    answer = prediction()
    path, json = save(answer, tmp_path / "x", ["pfm"])
    kind, size, scale, rest = path.read_bytes().split(b"\n", 3)
    height, width = answer.shape
    assert (kind, size) == (b"Pf", f"{width} {height}".encode())
    assert float(scale) < 0  # little-endian
    rows = np.frombuffer(rest, "<f4").reshape(height, width)[::-1]
    np.testing.assert_array_equal(np.isnan(rows), ~answer.depth.valid)
    np.testing.assert_array_equal(rows[answer.depth.valid], answer.depth.values[answer.depth.valid])
    assert read_sidecar(json).files[0].invalid == "nan"


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("x.depth.pfm", b"Pf\n999999 999999\n-1.0\n"),
        ("x.depth.pfm", b"PF\n4 4\n-1.0\n"),
        ("x.depth.bin", b"999999&999999&1&"),
        ("x.depth.bin", b"4&4&3&"),
        ("x.depth.bin", b""),
    ],
)
def test_a_map_that_claims_what_it_is_not_is_refused(
    tmp_path: Path, name: str, header: bytes
) -> None:
    save(prediction(), tmp_path / "x", ["pfm", "colmap"])
    path = tmp_path / name
    path.write_bytes(header + bytes(64))
    other = tmp_path / ("x.depth.bin" if name.endswith("pfm") else "x.depth.pfm")
    other.unlink()
    with pytest.raises(RilievoError):
        _ = save(_read(path), tmp_path / "y", ["npy"])


def _read(path: Path) -> object:
    from rilievo.prediction.readback import read_prediction

    return read_prediction(path)


def test_layers_hold_depth_mask_normals_light_and_camera(tmp_path: Path) -> None:
    OpenEXR = pytest.importorskip("OpenEXR")
    answer = prediction()
    path, _ = save(answer, tmp_path / "x", ["exr-layers"])
    with OpenEXR.File(str(path), separate_channels=True) as image:
        layers = {name: channel.pixels for name, channel in image.channels().items()}
        header = dict(image.header())
    valid = answer.depth.valid
    np.testing.assert_array_equal(layers["Z"][valid], answer.depth.values[valid])
    np.testing.assert_array_equal(layers["mask.A"], valid.astype(np.float32))
    for axis, values in zip("XYZ", answer.normals, strict=True):
        np.testing.assert_array_equal(layers[f"N.{axis}"], np.where(valid, values, np.nan))
    np.testing.assert_array_equal(layers["sky.A"] > 0, answer.sky)
    green = layers["G"].astype(np.float64)
    assert layers["G"].dtype == np.float16
    # sRGB's curve written the other way round.
    level = np.where(green <= 0.0031308, 12.92 * green, 1.055 * green ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(level * 255, answer.photo.pixels[..., 1], atol=0.2)
    K = np.array(header["K"].split(), float).reshape(3, 3)
    np.testing.assert_allclose(K, answer.camera.K, rtol=1e-8)
    assert header["unit"] == "metre"


def test_layers_hold_affine_values_in_y_and_say_what_depth_is_along(tmp_path: Path) -> None:
    OpenEXR = pytest.importorskip("OpenEXR")
    path, _ = save(prediction(DepthKind.AFFINE), tmp_path / "x", ["exr-layers"])
    with OpenEXR.File(str(path), separate_channels=True) as image:
        assert "Y" in image.channels()
        assert "Z" not in image.channels()
    answer = prediction()
    height, width = answer.shape
    round_camera = Camera(
        lens=Equirectangular(
            fx=width / np.pi, fy=width / np.pi, cx=(width - 1) / 2, cy=(height - 1) / 2
        )
    )
    _, json = save(replace(answer, camera=round_camera), tmp_path / "y", ["exr-layers"])
    assert "along the ray" in read_sidecar(json).files[0].holds


def test_pixels_without_a_normal_are_0_in_colmaps_map(tmp_path: Path) -> None:
    answer = prediction(holes=False)
    normals = answer.normals.copy()
    normals[:, :3, :5] = np.nan
    depth = replace(answer.depth, valid=np.ones(answer.shape, bool))
    answer = replace(answer, normals=normals, depth_or_none=depth)
    path, json = save(answer, tmp_path / "x", ["colmap-normals"])
    values = plane_of(path, 3)
    assert np.isfinite(values).all()
    assert (values[:3, :5] == 0).all()
    assert read_sidecar(json).files[0].invalid == 0


def test_near_splats_have_places_of_their_own(tmp_path: Path) -> None:
    answer = prediction()
    depth = replace(answer.depth, values=answer.depth.values * np.float32(1e-3))
    near = replace(answer, depth_or_none=depth)
    ply, spz, _ = save(near, tmp_path / "x", ["splat", "spz"])
    z = read_ply(ply)["vertex"]["z"]
    np.testing.assert_allclose(-splats_of(spz)["xyz"][:, 2], z, atol=1e-6)


def splats_of(path: Path) -> dict[str, np.ndarray]:
    """An SPZ of version 2, read by the table of its README."""
    data = gzip.decompress(path.read_bytes())
    magic, version, count, degree, bits, flags, _ = struct.unpack_from("<IIIBBBB", data)
    assert (magic, version, degree, flags) == (0x5053474E, 2, 0, 0)
    fields, offset = {}, 16
    for name, size in (("xyz", 9), ("alpha", 1), ("colour", 3), ("scale", 3), ("rotation", 3)):
        rows = np.frombuffer(data, np.uint8, size * count, offset).reshape(count, size)
        fields[name], offset = rows.astype(np.int64), offset + size * count
    assert offset == len(data)
    low, middle, high = (fields["xyz"][:, place::3] for place in range(3))
    whole = low + (middle << 8) + (high << 16)
    fields["xyz"] = np.where(whole >= 1 << 23, whole - (1 << 24), whole) / (1 << bits)
    return fields


def test_spz_holds_the_splats_of_the_ply(tmp_path: Path) -> None:
    ply, spz, _ = save(prediction(), tmp_path / "x", ["splat", "spz"])
    vertex = read_ply(ply)["vertex"]
    splats = splats_of(spz)
    turned = [1, -1, -1]

    def columns(*names: str) -> np.ndarray:
        return np.stack([vertex[name] for name in names], axis=1).astype(np.float64)

    np.testing.assert_allclose(splats["xyz"], columns("x", "y", "z") * turned, atol=1e-6)
    colour = (splats["colour"] / 255 - 0.5) / 0.15
    np.testing.assert_allclose(colour, columns("f_dc_0", "f_dc_1", "f_dc_2"), atol=0.0132)
    scale = splats["scale"] / 16 - 10
    np.testing.assert_allclose(scale, columns("scale_0", "scale_1", "scale_2"), atol=1 / 31)
    alpha = splats["alpha"] / 255
    np.testing.assert_allclose(np.log(alpha / (1 - alpha))[:, 0], vertex["opacity"], atol=0.06)
    axis = splats["rotation"] / 127.5 - 1
    angle = np.sqrt(np.clip(1 - (axis**2).sum(axis=1, keepdims=True), 0, 1))
    quaternion = np.concatenate([angle, axis * turned], axis=1)
    cosine = np.abs((quaternion * columns("rot_0", "rot_1", "rot_2", "rot_3")).sum(axis=1))
    # A byte a number is coarse where the angle is near 180 degrees.
    assert np.median(cosine) > 0.9999
    assert cosine.min() > 0.98
    assert spz.stat().st_size < 0.3 * ply.stat().st_size


def test_far_splats_have_room_in_24_bits(tmp_path: Path) -> None:
    answer = prediction(DepthKind.UP_TO_SCALE)
    depth = replace(answer.depth, values=answer.depth.values * np.float32(1e4))
    ply, spz, _ = save(replace(answer, depth_or_none=depth), tmp_path / "x", ["splat", "spz"])
    z = read_ply(ply)["vertex"]["z"]
    assert z.max() > 2048
    np.testing.assert_allclose(-splats_of(spz)["xyz"][:, 2], z, rtol=1e-4)


def test_a_usdz_is_stored_and_aligned_and_holds_the_mesh_of_glb(tmp_path: Path) -> None:
    answer = prediction()
    [path, _] = save(answer, tmp_path / "x", ["usdz"])
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        layer, picture = archive.infolist()
        assert layer.filename.endswith(".usda")  # the first file is the default layer
        data = path.read_bytes()
        for entry in (layer, picture):
            assert entry.compress_type == zipfile.ZIP_STORED
            name, extra = struct.unpack_from("<HH", data, entry.header_offset + 26)
            assert (entry.header_offset + 30 + name + extra) % 64 == 0
        photo = Image.open(io.BytesIO(archive.read(picture)))
        assert photo.format == "JPEG"
        text = archive.read(layer).decode()
    assert 'upAxis = "Y"' in text
    assert "metersPerUnit = 1\n" in text


@pytest.mark.parametrize("name", ["x", 'caffè "1" \'ü\\'])
@pytest.mark.parametrize("kind", [DepthKind.METRIC, DepthKind.UP_TO_SCALE])
def test_validators_of_usd_find_nothing(tmp_path: Path, name: str, kind: DepthKind) -> None:
    pxr = pytest.importorskip("pxr", reason="usd-core is not installed")
    from pxr import Usd, UsdGeom, UsdValidation

    assert pxr
    glb, path, _ = save(prediction(kind), tmp_path / name.replace("/", ""), ["glb", "usdz"])
    stage = Usd.Stage.Open(str(path))
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert len(validators) > 20
    assert list(UsdValidation.ValidationContext(validators).Validate(stage)) == []
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1
    mesh = UsdGeom.Mesh(stage.GetPrimAtPath("/Surface/Mesh"))
    trimesh = pytest.importorskip("trimesh")
    [other] = trimesh.load(glb, process=False).geometry.values()
    np.testing.assert_allclose(mesh.GetPointsAttr().Get(), other.vertices, rtol=1e-5, atol=1e-6)
    corners = np.array(mesh.GetFaceVertexIndicesAttr().Get()).reshape(-1, 3)
    np.testing.assert_array_equal(corners, other.faces)


def test_a_mesh_is_made_once_for_both_files(tmp_path: Path) -> None:
    alone = save(prediction(), tmp_path / "alone", ["usdz"], SaveOptions())[0]
    both = save(prediction(), tmp_path / "alone", ["glb", "usdz"], SaveOptions(overwrite=True))[1]
    assert both.name == alone.name
    with zipfile.ZipFile(both) as archive:
        assert "points = [(" in archive.read("surface.usda").decode()


def node_of(glb: Path) -> Mapping[str, Any]:
    data = glb.read_bytes()
    document = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])
    return document["nodes"][0]


@pytest.mark.parametrize("kind", [DepthKind.METRIC, DepthKind.UP_TO_SCALE])
def test_meshes_whose_size_means_nothing_say_so_in_their_own_metadata(
    kind: DepthKind, tmp_path: Path
) -> None:
    glb, usdz, _ = save(prediction(kind), tmp_path / "x", ["glb", "usdz"])
    with zipfile.ZipFile(usdz) as archive:
        layer = archive.read("surface.usda").decode()
    words = "arbitrary, not metres: the depth is known only up to scale"
    is_metric = kind is DepthKind.METRIC
    assert node_of(glb).get("extras") == (None if is_metric else {"unit": words})
    assert (f'    doc = "The unit is {words}."\n' in layer) is not is_metric
    assert ("doc =" in layer) is not is_metric


@pytest.mark.parametrize(
    ("kind", "names", "files"),
    [
        (DepthKind.UP_TO_SCALE, ["glb", "ply"], "glb"),
        (DepthKind.UP_TO_SCALE, ["usdz", "colour", "glb"], "usdz, glb"),
        (DepthKind.AFFINE_INVERSE, ["usdz"], "usdz"),
        (DepthKind.UP_TO_SCALE, ["ply", "splat", "npz"], ""),
        (DepthKind.METRIC, ["glb", "usdz"], ""),
        (None, ["normals"], ""),
    ],
)
def test_formats_in_metres_get_a_note_where_depth_is_not(
    kind: DepthKind | None, names: list[str], files: str
) -> None:
    notes = metre_notes(kind, names)
    assert len(notes) == bool(files)
    assert all(f"the numbers in {files} as metres" in note for note in notes)


def test_the_command_tells_once_that_meshes_are_not_in_metres(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    photos = [tmp_path / f"{number}.png" for number in range(3)]
    for photo in photos:
        Image.fromarray(pixels).save(photo)
    line = ["predict", *map(str, photos), "-m", "rilievo/small", "--save", "glb,colour"]
    assert main([*line, "-o", str(tmp_path / "relative")]) == 0
    said = capsys.readouterr().err
    assert said.count("the numbers in glb as metres") == 1
    assert "--known U,V,METRES, --camera-height METRES or a metric model" in said
    one = ["predict", str(photos[0]), "-m", "rilievo/small", "--save", "glb"]
    assert main([*one, "--known", "30,30,2", "-o", str(tmp_path / "metric")]) == 0
    assert "as metres" not in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["metric", "up_to_scale"])
def test_a_surface_of_depth_at_hand_tells_it_too(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(tmp_path / "photo.png")
    np.save(tmp_path / "z.npy", np.linspace(1, 2, 48 * 64, dtype=np.float32).reshape(48, 64))
    line = ["surface", str(tmp_path / "photo.png"), "--depth", str(tmp_path / "z.npy")]
    assert main([*line, "--kind", kind, "--fov", "60", "-o", str(tmp_path / kind)]) == 0
    said = capsys.readouterr().err
    assert ("the numbers in glb as metres" in said) is (kind == "up_to_scale")
