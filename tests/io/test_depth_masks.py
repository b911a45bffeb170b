"""Pixels that a depth file marks as without depth are left out, in every command."""

import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin
from PIL.PngImagePlugin import PngInfo
from tests.support.png_bytes import write_rgba16

import rilievo
from rilievo.data.datasets import open_dataset
from rilievo.errors import InputError, OptionError
from rilievo.evaluation.benchmarks.benchmark import Task
from rilievo.evaluation.predictions.sources import open_predictions
from rilievo.evaluation.stored_numbers import NumberKind, ValueEncoding
from rilievo.io.depth.encoding import NumberEncoding, parse_encoding
from rilievo.io.depth.stored_depth import read_stored_depth
from rilievo.predicting.metres.sparse import read_sparse

HEIGHT, WIDTH, FOCAL = 60, 80, 70.0
PHOTO = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
DEPTH = np.linspace(2, 5, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
HAS_DEPTH = np.zeros((HEIGHT, WIDTH), bool)
HAS_DEPTH[:, :50] = True
# Depth of a surface that is not there, outside of the mask.
STORED = np.where(HAS_DEPTH, DEPTH, 3 * DEPTH).astype(np.float32)
COUNTS = np.rint(STORED * 1000).astype(np.uint16)


def npz(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "a.npz", **arrays)
    return folder / "a.npz"


def exr(folder: Path, **channels: np.ndarray) -> Path:
    pytest.importorskip("OpenEXR")
    import OpenEXR

    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    stored = {name: plane.astype(np.float32) for name, plane in channels.items()}
    OpenEXR.File(header, stored).write(str(folder / "a.exr"))
    return folder / "a.exr"


def rgba(folder: Path) -> Path:
    alpha = np.where(HAS_DEPTH, 65535, 0).astype(np.uint16)
    write_rgba16(folder / "a.png", np.dstack([COUNTS, COUNTS, COUNTS, alpha]))
    return folder / "a.png"


def transparent_number(folder: Path) -> Path:
    counts = np.where(HAS_DEPTH, COUNTS, 7000).astype(np.uint16)
    path = folder / "a.png"
    Image.fromarray(counts).save(path)
    body = b"tRNS" + struct.pack(">H", 7000)
    chunk = struct.pack(">I", 2) + body + struct.pack(">I", zlib.crc32(body))
    content = path.read_bytes()
    place = content.index(b"IDAT") - 4
    path.write_bytes(content[:place] + chunk + content[place:])
    return path


def tiff(folder: Path, pages: Sequence[np.ndarray], kind: int = 0) -> Path:
    """A TIFF file of several pages, the second of which is of a kind (tag 254)."""
    first, *others = map(Image.fromarray, pages)
    for page in others:
        vars(page)["encoderinfo"] = {"tiffinfo": {254: kind}}
    first.save(folder / "a.tif", save_all=True, append_images=others)
    return folder / "a.tif"


MASKED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "boolean mask": (lambda at: npz(at, depth=STORED, mask=HAS_DEPTH), "scale=1"),
    "mask of 0 and 255": (
        lambda at: npz(at, depth=STORED, valid=255 * HAS_DEPTH.astype(np.uint8)),
        "scale=1",
    ),
    "mask of floating-point numbers": (
        lambda at: npz(at, depth=STORED, valid_mask=HAS_DEPTH.astype(np.float32)),
        "scale=1",
    ),
    "mask with an axis of length one": (
        lambda at: npz(at, depth=STORED[None], validity=HAS_DEPTH[None]),
        "scale=1",
    ),
    "mask of what is invalid": (
        lambda at: npz(at, depth=STORED, invalidMask=~HAS_DEPTH),
        "scale=1",
    ),
    "mask of whole numbers": (lambda at: npz(at, depth=COUNTS, mask=HAS_DEPTH), "scale=0.001"),
    "mask beside a name with a unit": (lambda at: npz(at, depth_m=STORED, mask=HAS_DEPTH), ""),
    "mask beside an unusual name": (
        lambda at: npz(at, data=STORED, valid=HAS_DEPTH, conf=DEPTH, K=np.eye(3)),
        "scale=1",
    ),
    "mask beside a named array": (
        lambda at: npz(at, left=STORED, right=DEPTH, mask=HAS_DEPTH),
        "array=left scale=1",
    ),
    "alpha of OpenEXR": (lambda at: exr(at, Z=STORED, A=HAS_DEPTH), "scale=1"),
    "alpha of a layer": (
        lambda at: exr(at, **{"depth.Z": STORED, "depth.A": HAS_DEPTH}),
        "array=depth.Z scale=1",
    ),
    "mask of OpenEXR": (lambda at: exr(at, **{"Z": STORED, "mask.A": HAS_DEPTH}), "scale=1"),
    "alpha of OpenEXR's colours": (
        lambda at: exr(at, R=STORED, G=STORED, B=STORED, A=HAS_DEPTH),
        "channels=1,0,0 scale=1",
    ),
    "alpha of PNG": (rgba, "channels=1,0,0 scale=0.001"),
    "mask page of TIFF": (lambda at: tiff(at, (COUNTS, HAS_DEPTH), 4), "scale=0.001"),
    "transparent number of PNG": (transparent_number, "scale=0.001"),
}


def depth_in_every_command(path: Path, encoding: str) -> dict[str, np.ndarray]:
    """Depth [m] as each command reads it, 0 where it reads none."""
    declared = encoding or None
    made = rilievo.Prediction.from_depth(PHOTO, path, FOCAL, encoding=declared)
    sparse = read_sparse(path, (HEIGHT, WIDTH), None, encoding=declared)
    assert sparse.measured is not None
    opened = open_predictions(
        path.parent,
        ["a"],
        value_encoding=ValueEncoding(number_kind=NumberKind.METRIC),
        task=Task.DEPTH,
        number_encoding=None if declared is None else parse_encoding(declared, "encoding"),
    )
    predicted = opened.read("a").depth
    return {
        "surface": np.where(made.depth.valid, made.depth.values, 0),
        "sparse": sparse.measured,
        "predictions": np.where(predicted.valid, predicted.values, 0),
        "truth": true_depth(path, encoding),
    }


def true_depth(path: Path, encoding: str) -> np.ndarray:
    """Depth of ground truth [m] with the keys of an encoding in YAML."""
    root = path.parent.parent
    (root / "images").mkdir(exist_ok=True)
    Image.fromarray(PHOTO).save(root / "images/a.png")
    keys = [part.partition("=") for part in encoding.split()]
    lists = ("channels", "bits", "invalid", "sky")
    lines = [
        f"  {key}: [{value.strip('[]')}]" if key in lists else f"  {key}: {value}"
        for key, _, value in keys
    ]
    written = "\n".join([f"  file: {path.parent.name}/{{id}}{path.suffix}", *lines])
    (root / "rilievo.yaml").write_text(f"depth:\n{written}\n")
    truth = open_dataset("folder", root).truth("a")
    assert truth.depth is not None
    assert truth.depth_valid is not None
    return np.where(truth.depth_valid, truth.depth, 0)


@pytest.mark.filterwarnings("ignore:the camera in the depth file is not used")
@pytest.mark.parametrize("form", MASKED)
def test_pixels_that_the_file_marks_hold_no_depth(form: str, tmp_path: Path) -> None:
    write, encoding = MASKED[form]
    (tmp_path / "depth").mkdir()
    path = write(tmp_path / "depth")
    for command, depth in depth_in_every_command(path, encoding).items():
        expected = np.where(HAS_DEPTH, DEPTH, 0)
        np.testing.assert_allclose(depth, expected, rtol=1e-3, err_msg=command)
    declared = parse_encoding(encoding, "encoding") if encoding else None
    [note] = [
        doubt
        for doubt in read_stored_depth(path, encoding=declared).metadata.warnings
        if "no depth" in doubt
    ]
    assert "37.5%" in note or "7000" in note


def test_a_masked_pixel_cannot_be_measured(tmp_path: Path) -> None:
    path = npz(tmp_path, depth=STORED, mask=HAS_DEPTH)
    made = rilievo.Prediction.from_depth(PHOTO, path, FOCAL)
    assert any("'mask' is 0 at 37.5% of the pixels" in note for note in made.notes)
    assert not made.depth.valid[30, 70]
    assert made.depth.valid[30, 20]


LEFT_ALONE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "labels": (
        lambda at: npz(at, depth=DEPTH, mask=np.arange(DEPTH.size).reshape(DEPTH.shape) % 5),
        "a mask must have",
    ),
    "another size": (lambda at: npz(at, depth=DEPTH, mask=HAS_DEPTH[::2]), "a mask must have"),
    "confidence": (
        lambda at: npz(at, depth=DEPTH, confidence=HAS_DEPTH.astype(np.float32)),
        "'confidence' is ignored",
    ),
    "array of alpha": (
        lambda at: npz(at, depth=DEPTH, alpha=HAS_DEPTH.astype(np.float32)),
        "'alpha' is ignored",
    ),
    "alpha that nothing wrote": (lambda at: exr(at, Z=DEPTH, A=0 * DEPTH), "0 everywhere"),
    "another page of TIFF": (
        lambda at: tiff(at, (DEPTH, HAS_DEPTH.astype(np.uint8))),
        "1 more page, which is not read",
    ),
    "overview of TIFF": (lambda at: tiff(at, (DEPTH, DEPTH[::2, ::2]), 1), ""),
    "mask that leaves out nothing": (
        lambda at: npz(at, depth=DEPTH, mask=np.ones_like(HAS_DEPTH)),
        "",
    ),
    "alpha that leaves out nothing": (lambda at: exr(at, Z=DEPTH, A=0 * DEPTH + 1), ""),
    "mask of something else": (lambda at: npz(at, depth=DEPTH, sky_mask=HAS_DEPTH), ""),
    "alpha of another layer": (
        lambda at: exr(at, **{"Z": DEPTH, "Combined.A": HAS_DEPTH}),
        "",
    ),
}


@pytest.mark.parametrize("form", LEFT_ALONE)
def test_what_is_no_mask_is_not_applied(form: str, tmp_path: Path) -> None:
    write, says = LEFT_ALONE[form]
    numbers = read_stored_depth(write(tmp_path))
    np.testing.assert_allclose(numbers.values, DEPTH, rtol=1e-6)
    if says:
        [doubt] = numbers.metadata.warnings
        assert says in doubt
    else:
        assert numbers.metadata.warnings == ()


def test_a_masked_array_of_numpy_keeps_its_mask() -> None:
    for stored, unit in ((STORED, None), (COUNTS, 0.001)):
        masked = np.ma.MaskedArray(stored, ~HAS_DEPTH)
        made = rilievo.Prediction.from_depth(PHOTO, masked, FOCAL, unit=unit)
        np.testing.assert_array_equal(made.depth.valid, HAS_DEPTH)
        sparse = read_sparse(masked, (HEIGHT, WIDTH), unit)
        assert sparse.measured is not None
        np.testing.assert_array_equal(sparse.measured > 0, HAS_DEPTH)


def test_inverse_depth_in_whole_numbers_keeps_its_holes(tmp_path: Path) -> None:
    counts = np.where(HAS_DEPTH, COUNTS, 0).astype(np.uint16)
    Image.fromarray(counts).save(tmp_path / "a.png")
    opened = open_predictions(
        tmp_path,
        ["a"],
        value_encoding=ValueEncoding(number_kind=NumberKind.AFFINE_INVERSE),
        task=Task.DEPTH,
        number_encoding=NumberEncoding(invalid=(0.0,)),
    )
    np.testing.assert_array_equal(opened.read("a").depth.valid, HAS_DEPTH)


MILLIMETRES = np.rint(DEPTH * 1000).astype(np.uint16)
LABELS = np.arange(DEPTH.size, dtype=np.uint16).reshape(DEPTH.shape) % 8
INVALID: dict[str, tuple[np.ndarray, str]] = {
    "the example of the help": (
        np.where(HAS_DEPTH, MILLIMETRES << 3 | LABELS, 65535),
        "bits=3,13 scale=0.001 invalid=0,65535",
    ),
    "the number of the bits, with any label": (
        np.where(HAS_DEPTH, MILLIMETRES << 3, 8191 << 3) | LABELS,
        "bits=3,13 scale=0.001 invalid=0,8191",
    ),
    "labels above the depth": (
        np.where(HAS_DEPTH, LABELS << 13 | MILLIMETRES, 65535),
        "bits=0,13 scale=0.001 invalid=0,65535",
    ),
    "a shifted number": (
        np.where(HAS_DEPTH, MILLIMETRES << 3, 65528),
        "bits=3,13 scale=0.001 invalid=65528",
    ),
    "all bits of 13, depth beside the whole mark": (
        np.where(HAS_DEPTH, MILLIMETRES << 3, 65535),
        "bits=3,13 scale=0.001 invalid=65535",
    ),
    "zero beside another number and an offset": (
        np.where(HAS_DEPTH, MILLIMETRES - 500, 65535 * (LABELS > 3)),
        "scale=0.001 offset=0.5 invalid=65535",
    ),
}


@pytest.mark.parametrize("form", INVALID)
def test_invalid_means_the_same_in_yaml_and_in_an_encoding(form: str, tmp_path: Path) -> None:
    stored, encoding = INVALID[form]
    (tmp_path / "depth").mkdir()
    path = tmp_path / "depth/a.png"
    Image.fromarray(stored.astype(np.uint16)).save(path)
    for command, depth in depth_in_every_command(path, encoding).items():
        expected = np.where(HAS_DEPTH, DEPTH, 0)
        np.testing.assert_allclose(depth, expected, atol=6e-4, err_msg=command)


def test_an_empty_list_makes_zero_a_number_as_others(tmp_path: Path) -> None:
    (tmp_path / "depth").mkdir()
    path = tmp_path / "depth/a.png"
    counts = np.where(HAS_DEPTH, MILLIMETRES, 0).astype(np.uint16)
    Image.fromarray(counts).save(path)
    for command, depth in depth_in_every_command(path, "scale=0.001 offset=0.5 invalid=[]").items():
        expected = np.where(HAS_DEPTH, DEPTH + 0.5, 0.5)
        np.testing.assert_allclose(depth, expected, atol=6e-4, err_msg=command)


def test_zeros_that_another_invalid_number_leaves_out_are_said(tmp_path: Path) -> None:
    counts = np.where(HAS_DEPTH, MILLIMETRES, 0).astype(np.uint16)
    Image.fromarray(counts).save(tmp_path / "a.png")
    declared = parse_encoding("scale=0.001 offset=0.5 invalid=65535", "encoding")
    [doubt] = read_stored_depth(tmp_path / "a.png", encoding=declared).metadata.warnings
    assert "37.5% of the pixels are 0" in doubt


def test_the_marks_that_a_file_states_are_whole_numbers_beside_bits(tmp_path: Path) -> None:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[42113], info.tagtype[42113] = "65535", 2  # GDAL's no-data value
    (tmp_path / "depth").mkdir()
    path = tmp_path / "depth/a.tif"
    stored = np.where(HAS_DEPTH, MILLIMETRES << 3, 65535).astype(np.uint16)
    Image.fromarray(stored).save(path, tiffinfo=info)
    for command, depth in depth_in_every_command(path, "bits=3,13 scale=0.001").items():
        expected = np.where(HAS_DEPTH, DEPTH, 0)
        np.testing.assert_allclose(depth, expected, atol=6e-4, err_msg=command)


def test_zero_beside_a_stated_offset_is_no_depth(tmp_path: Path) -> None:
    (tmp_path / "depth").mkdir()
    info = PngInfo()
    info.add_text("scale", "0.001")
    info.add_text("offset", "0.5")
    stored = np.where(HAS_DEPTH, MILLIMETRES - 500, 0).astype(np.uint16)
    Image.fromarray(stored).save(tmp_path / "depth/a.png", pnginfo=info)
    for command, depth in depth_in_every_command(tmp_path / "depth/a.png", "").items():
        expected = np.where(HAS_DEPTH, DEPTH, 0)
        np.testing.assert_allclose(depth, expected, atol=6e-4, err_msg=command)


@pytest.mark.parametrize("kept", [0.4, 0.9])
def test_damaged_pages_are_named(kept: float, tmp_path: Path) -> None:
    path = tiff(tmp_path, (COUNTS, HAS_DEPTH), 4)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(InputError, match="TIFF file is truncated"):
        read_stored_depth(path)


def test_alpha_beside_grey_is_no_weight(tmp_path: Path) -> None:
    grey = Image.fromarray((DEPTH * 20).astype(np.uint8))
    alpha = Image.fromarray((HAS_DEPTH * 255).astype(np.uint8))
    Image.merge("LA", [grey, alpha]).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"alpha or a confidence, set 'channels: \[1, 0\]'"):
        read_stored_depth(tmp_path / "a.png")


def test_an_offset_of_whole_numbers_needs_their_scale(tmp_path: Path) -> None:
    Image.fromarray(MILLIMETRES).save(tmp_path / "a.png")
    for depth in (tmp_path / "a.png", MILLIMETRES):
        with pytest.raises(InputError, match="'offset' needs a 'scale'"):
            rilievo.Prediction.from_depth(PHOTO, depth, FOCAL, encoding="offset=0.5")


def test_a_scale_beside_an_offset_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", DEPTH * 1000)
    with pytest.raises(OptionError, match="offset in metres"):
        open_predictions(
            tmp_path,
            ["a"],
            value_encoding=ValueEncoding(number_kind=NumberKind.METRIC, scale=0.001),
            task=Task.DEPTH,
            number_encoding=parse_encoding("offset=0.5", "encoding"),
        ).read("a")


def test_sky_is_a_number_of_the_bits(tmp_path: Path) -> None:
    (tmp_path / "depth").mkdir()
    Image.fromarray(MILLIMETRES).save(tmp_path / "depth/a.png")
    with pytest.raises(InputError, match="'sky' must be a value that fits into the 13 bits"):
        true_depth(tmp_path / "depth/a.png", "bits=3,13 sky=65535")
