"""What depth files state in texts, headers and names: read by it, refused, or doubted."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin
from PIL.PngImagePlugin import PngInfo

import rilievo
from rilievo.data.datasets import open_dataset
from rilievo.errors import InputError, OptionError, RilievoError
from rilievo.evaluation.benchmarks.benchmark import Task
from rilievo.evaluation.predictions.sources import open_predictions
from rilievo.evaluation.stored_numbers import NumberKind, ValueEncoding
from rilievo.io.depth.encoding import parse_encoding
from rilievo.io.depth.stored_depth import StoredDepth, read_stored_depth
from rilievo.io.depth.text_metadata import StoredQuantity, parse_array_name, parse_text_metadata
from rilievo.predicting.metres.sparse import read_sparse

HEIGHT, WIDTH, FOCAL = 240, 320, 280.0
V, U = np.mgrid[:HEIGHT, :WIDTH].astype(float)
RAYS = np.stack([(U - 159.5) / FOCAL, (V - 119.5) / FOCAL, np.ones((HEIGHT, WIDTH))])
PHOTO = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
LOW, HIGH = 0.5, 10.0
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    'xmlns:GDepth="http://ns.google.com/photos/1.0/depthmap/" {}/></rdf:RDF></x:xmpmeta>'
)


def room() -> np.ndarray:
    """Depth of a room: floor, ceiling, two side walls and a back wall [m]."""
    across, down = RAYS[0], RAYS[1]
    with np.errstate(divide="ignore"):
        walls = [np.full((HEIGHT, WIDTH), 5.0), 1.4 / np.maximum(down, 1e-9)]
        walls += [1.2 / np.maximum(-down, 1e-9), 1.6 / np.maximum(across, 1e-9)]
        walls += [1.8 / np.maximum(-across, 1e-9)]
    return np.min(walls, axis=0)


ROOM = room()


def png(folder: Path, counts: np.ndarray, **texts: str) -> Path:
    info = PngInfo()
    for name, text in texts.items():
        if name == "XMP":
            info.add_itxt("XML:com.adobe.xmp", text)
        else:
            info.add_text(name, text)
    Image.fromarray(np.rint(counts).astype(np.uint16)).save(folder / "a.png", pnginfo=info)
    return folder / "a.png"


def tiff(folder: Path, counts: np.ndarray, **tags: Any) -> Path:
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for name, value in tags.items():
        number = int(name.removeprefix("tag"))
        directory[number] = value
        directory.tagtype[number] = 12 if isinstance(value, float) else 2
    image = Image.fromarray(np.rint(counts).astype(np.uint16))
    image.save(folder / "a.tif", tiffinfo=directory)
    return folder / "a.tif"


def npz(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "a.npz", **arrays)
    return folder / "a.npz"


def exr(folder: Path, channels: dict[str, np.ndarray], header: dict[str, Any]) -> Path:
    pytest.importorskip("OpenEXR")
    import OpenEXR

    kind = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    stored = {name: plane.astype(np.float32) for name, plane in channels.items()}
    OpenEXR.File({**kind, **header}, stored).write(str(folder / "a.exr"))
    return folder / "a.exr"


def pgm(folder: Path, counts: np.ndarray, comment: str) -> Path:
    head = f"P5\n# {comment}\n{WIDTH} {HEIGHT}\n65535\n".encode()
    (folder / "a.pgm").write_bytes(head + np.rint(counts).astype(">u2").tobytes())
    return folder / "a.pgm"


def with_file(folder: Path, name: str, text: str, counts: np.ndarray) -> Path:
    (folder / name).write_text(text)
    return png(folder, counts)


def gdepth(form: str, unit: str = 'GDepth:Units="m"') -> str:
    return XMP.format(f'GDepth:Format="{form}" GDepth:Near="0.5" GDepth:Far="10" {unit}')


def between(values: np.ndarray, low: float = LOW, high: float = HIGH) -> np.ndarray:
    """Codes of 16 bits that lie evenly between two values."""
    return (values - low) / (high - low) * 65535


GDAL = '<GDALMetadata><Item name="SCALE" sample="0" role="scale">0.0002</Item></GDALMetadata>'
NEAREST, FARTHEST = float(ROOM.min()), float(ROOM.max())
READ: dict[str, Callable[[Path], Path]] = {
    "GDepth, linear": lambda at: png(at, between(ROOM), XMP=gdepth("RangeLinear")),
    "GDepth, inverse": lambda at: png(
        at, between(1 / ROOM, 1 / LOW, 1 / HIGH), XMP=gdepth("RangeInverse")
    ),
    "GDepth in centimetres": lambda at: png(
        at,
        between(ROOM),
        XMP=XMP.format(
            'GDepth:Format="RangeLinear" GDepth:Near="50" GDepth:Far="1000" GDepth:Units="cm"'
        ),
    ),
    "near and far, linear": lambda at: png(at, between(ROOM), near="0.5", far="10", scale="linear"),
    "statistics [m] of millimetres": lambda at: png(
        at, ROOM * 1000, depth_min=f"{NEAREST:.1f}", depth_max=f"{FARTHEST:.1f}"
    ),
    "statistics of millimetres with their unit": lambda at: png(
        at, ROOM * 1000, min=f"{NEAREST * 1000:.0f} mm", max=f"{FARTHEST * 1000:.0f} mm"
    ),
    "statistics of counts of 1/5000 m": lambda at: png(
        at, ROOM * 5000, min=f"{NEAREST:.3f}", max=f"{FARTHEST:.3f}"
    ),
    **{
        f"round ends {low} and {high}": lambda at, low=low, high=high: png(
            at, between(ROOM, low, high), min=str(low), max=str(high)
        )
        for low, high in ((0, 10), (1, 10), (0, 8), (1, 7))
    },
    "GDAL's scale": lambda at: tiff(at, ROOM * 5000, tag42112=GDAL),
    "least and largest sample": lambda at: tiff(at, between(ROOM), tag340=LOW, tag341=HIGH),
    "comment of PGM": lambda at: pgm(at, ROOM * 5000, "depth_scale 5000"),
    "comment of PGM with a colon": lambda at: pgm(at, ROOM * 5000, "scale: 0.0002"),
    "meta.json of the folder": lambda at: with_file(
        at, "meta.json", json.dumps({"depth_scale": 5000}), ROOM * 5000
    ),
    "depth_scale.txt of the folder": lambda at: with_file(
        at, "depth_scale.txt", "5000\n", ROOM * 5000
    ),
    "text of its name": lambda at: with_file(at, "a.txt", "scale 5000\n", ROOM * 5000),
    "attribute unit": lambda at: exr(at, {"Z": ROOM * 100}, {"unit": "cm"}),
    "attribute worldUnits": lambda at: exr(at, {"Z": ROOM * 100}, {"worldUnits": "centimeters"}),
    "array with its unit": lambda at: npz(at, depth_cm=(ROOM * 100).astype(np.float32)),
    "array in millimetres": lambda at: npz(at, depth_mm=np.rint(ROOM * 1000).astype(np.uint16)),
    "factor that is counts of a metre": lambda at: npz(
        at, depth=np.rint(ROOM * 5000).astype(np.uint16), scale=5000
    ),
}


@pytest.mark.parametrize("form", READ)
def test_depth_is_read_as_its_file_states(form: str, tmp_path: Path) -> None:
    path = READ[form](tmp_path)
    numbers = read_stored_depth(path)
    np.testing.assert_allclose(numbers.values, ROOM, rtol=2e-3)
    assert numbers.metadata.warnings == ()
    made = rilievo.Prediction.from_depth(PHOTO, path, FOCAL)
    np.testing.assert_allclose(made.depth.values, ROOM, rtol=2e-3)
    sparse = read_sparse(path, (HEIGHT, WIDTH), None)
    assert sparse.measured is not None
    np.testing.assert_allclose(sparse.measured, ROOM, rtol=2e-3)


@pytest.mark.parametrize("form", READ)
def test_truth_is_read_as_its_file_states(form: str, tmp_path: Path) -> None:
    for name in ("images", "depth"):
        (tmp_path / name).mkdir()
    Image.fromarray(PHOTO).save(tmp_path / "images/a.png")
    READ[form](tmp_path / "depth")
    dataset = open_dataset("folder", tmp_path)
    assert (dataset.ids, dataset.absent) == (("a",), ())
    truth = dataset.truth("a")
    assert truth.depth is not None
    np.testing.assert_allclose(truth.depth, ROOM, rtol=2e-3)


INVERSE = between(1 / ROOM, 1 / HIGH, 1 / LOW)
REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "range of inverse depth": (
        lambda at: png(at, INVERSE, min="0.1", max="2", quantity="inverse depth (1/m)"),
        "inverse",
    ),
    "range in dioptres": (lambda at: png(at, INVERSE, min="0.1", max="2", unit="1/m"), "inverse"),
    "range of the logarithm": (
        lambda at: png(
            at, between(np.log(ROOM), -1, 3), minimum="-1", maximum="3", Title="log depth"
        ),
        "logarithm",
    ),
    "near and far of inverse depth": (
        lambda at: png(at, INVERSE, near="0.5", far="10", encoding="inverse depth"),
        "near",
    ),
    "near and far beside normalised numbers": (
        lambda at: npz(at, depth=((ROOM - LOW) / (HIGH - LOW)), near=LOW, far=HIGH),
        "scale(: |=)9.5",
    ),
    "near and far in a header": (
        lambda at: exr(at, {"Z": (ROOM - LOW) / (HIGH - LOW)}, {"near": LOW, "far": HIGH}),
        "scale(: |=)9.5",
    ),
    "array of inverse depth": (lambda at: npz(at, inverse_depth=1 / ROOM), "inverse"),
    "array of disparity": (lambda at: npz(at, disparity=30 / ROOM), "disparity"),
    "array of the logarithm": (lambda at: npz(at, log_depth=np.log(ROOM) + 2), "logarithm"),
    "arrays without names": (lambda at: npz(at, arr_0=ROOM, arr_1=2 * ROOM), "array=NAME"),
    "layers": (
        lambda at: exr(at, {"ViewLayer.Depth.Z": ROOM, "ViewLayer.Mist.Z": ROOM / 9}, {}),
        "array=NAME",
    ),
}


@pytest.mark.parametrize("form", REFUSED)
def test_depth_that_is_something_else_is_refused_in_every_command(
    form: str, tmp_path: Path
) -> None:
    write, says = REFUSED[form]
    for name in ("images", "depth"):
        (tmp_path / name).mkdir()
    Image.fromarray(PHOTO).save(tmp_path / "images/a.png")
    path = write(tmp_path / "depth")
    with pytest.raises(RilievoError, match=says):
        rilievo.Prediction.from_depth(PHOTO, path, FOCAL)
    with pytest.raises(RilievoError, match=says):
        read_sparse(path, (HEIGHT, WIDTH), None)
    with pytest.raises(RilievoError, match=says):
        open_dataset("folder", tmp_path).truth("a")
    with pytest.raises(RilievoError, match=r"kind|near|scale: 9\.5|array|says that"):
        open_predictions(
            path.parent,
            ["a"],
            value_encoding=ValueEncoding(number_kind=NumberKind.METRIC),
            task=Task.DEPTH,
        ).read("a")


def test_distance_by_its_name_or_text_becomes_depth(tmp_path: Path) -> None:
    distance = ROOM * np.linalg.norm(RAYS, axis=0)
    text = "distance to camera centre (euclidean), metres"
    paths = (
        npz(tmp_path, distance=distance),
        png(tmp_path, distance / 20 * 65535, min="0", max="20", Description=text),
    )
    for path in paths:
        made = rilievo.Prediction.from_depth(PHOTO, path, FOCAL)
        np.testing.assert_allclose(made.depth.values, ROOM, rtol=2e-3)


@pytest.mark.parametrize("kind", [NumberKind.DISPARITY, NumberKind.AFFINE_INVERSE])
@pytest.mark.parametrize("name", ["inverse_depth", "disparity"])
def test_predictions_of_inverse_depth_are_scored_as_the_user_says(
    kind: NumberKind, name: str, tmp_path: Path
) -> None:
    npz(tmp_path, **{name: 1 / ROOM})
    opened = open_predictions(
        tmp_path, ["a"], value_encoding=ValueEncoding(number_kind=kind), task=Task.DEPTH
    )
    assert opened.read("a").depth.kind is opened.kind


def test_an_array_is_named_by_an_encoding(tmp_path: Path) -> None:
    path = npz(tmp_path, arr_0=np.ones_like(ROOM), arr_1=ROOM)
    made = rilievo.Prediction.from_depth(PHOTO, path, FOCAL, encoding="array=arr_1 scale=1")
    np.testing.assert_allclose(made.depth.values, ROOM, rtol=1e-6)
    sparse = read_sparse(path, (HEIGHT, WIDTH), None, encoding="array=arr_1")
    assert sparse.measured is not None
    np.testing.assert_allclose(sparse.measured, ROOM, rtol=1e-6)
    stored = ValueEncoding(number_kind=NumberKind.METRIC)
    opened = open_predictions(
        tmp_path,
        ["a"],
        value_encoding=stored,
        task=Task.DEPTH,
        number_encoding=parse_encoding("array=arr_1", "encoding"),
    )
    np.testing.assert_allclose(opened.read("a").depth.values, ROOM, rtol=1e-6)
    with pytest.raises(InputError, match="no array 'arr_2'"):
        read_sparse(path, (HEIGHT, WIDTH), None, encoding="array=arr_2")
    with pytest.raises(InputError, match="nothing to choose"):
        rilievo.Prediction.from_depth(PHOTO, ROOM, FOCAL, encoding="array=arr_1")
    layers = exr(tmp_path, {"ViewLayer.Depth.Z": ROOM, "ViewLayer.Mist.Z": ROOM / 9}, {})
    made = rilievo.Prediction.from_depth(PHOTO, layers, FOCAL, encoding="array=ViewLayer.Depth.Z")
    np.testing.assert_allclose(made.depth.values, ROOM, rtol=1e-6)
    with pytest.raises(OptionError, match=r"array=ViewLayer\.Depth\.Z"):
        parse_encoding("channels=ViewLayer.Depth.Z", "encoding")


@pytest.mark.parametrize(
    ("advice", "pairs"),
    [
        ("invalid: [0, 65535]", "invalid=0,65535"),
        ("bits: [3, 13] scale: 0.001", "bits=3,13 scale=0.001"),
        ("invalid: []", "invalid=[]"),
    ],
)
def test_the_keys_of_a_warning_can_be_pasted_into_an_encoding(advice: str, pairs: str) -> None:
    assert parse_encoding(advice, "encoding") == parse_encoding(pairs, "encoding")


def shape_doubts(numbers: StoredDepth) -> list[str]:
    return [doubt for doubt in numbers.metadata.warnings if "surfaces are flat" in doubt]


SPACINGS = {
    "depth": lambda near, far: (ROOM - near) / (far - near),
    "inverse depth": lambda near, far: (1 / ROOM - 1 / near) / (1 / far - 1 / near),
    "the logarithm": lambda near, far: np.log(ROOM / near) / np.log(far / near),
}


@pytest.mark.parametrize("spacing", SPACINGS)
def test_surfaces_tell_how_numbers_lie_between_near_and_far(spacing: str, tmp_path: Path) -> None:
    shares = SPACINGS[spacing](NEAREST, FARTHEST)
    ends = {"near": f"{NEAREST:.9f}", "far": f"{FARTHEST:.9f}"}
    doubts = shape_doubts(read_stored_depth(png(tmp_path, 1 + shares * 65533, **ends)))
    if spacing == "the logarithm":
        assert doubts == []
    else:
        [doubt] = doubts
        assert f"are spaced evenly in {spacing}" in doubt
    ends = {"min": f"{NEAREST:.9f}", "max": f"{FARTHEST:.9f}"}
    doubts = shape_doubts(read_stored_depth(png(tmp_path, shares * 65535, **ends)))
    assert bool(doubts) is (spacing != "depth")


def test_a_range_that_may_be_a_range_of_millimetres_is_doubted(tmp_path: Path) -> None:
    numbers = read_stored_depth(png(tmp_path, ROOM * 1000, min="0.2", max="8"))
    assert any("if the values are millimetres" in doubt for doubt in numbers.metadata.warnings)
    numbers = read_stored_depth(png(tmp_path, ROOM * 1000, min="0", max="10000"))
    assert any("bounds of the stored values" in doubt for doubt in numbers.metadata.warnings)
    assert not numbers.metadata.is_decodable


def test_the_whole_range_of_a_type_states_nothing(tmp_path: Path) -> None:
    for path in (
        png(tmp_path, ROOM * 1000, min="0", max="65535"),
        tiff(tmp_path, ROOM * 1000, tag270="ImageJ=1.11a\nmin=0.0\nmax=65535.0\n"),
    ):
        statement = read_stored_depth(path).metadata
        assert not statement.is_decodable
        assert statement.warnings == ()


@pytest.mark.parametrize(
    "texts",
    [
        {"Software": "DepthCam 3 (Intel RealSense depth camera)"},
        {"File": "/home/me/depth_room_2.blend", "Date": "2026/11/29", "Camera": "depth 1"},
        {"Source": "distance sensor, range 10 m"},
        {"Description": "depth along the optical axis, not the distance to the camera centre"},
        {"Description": "distance to the image plane"},
    ],
)
def test_texts_about_programs_and_scenes_say_nothing(texts: dict[str, str], tmp_path: Path) -> None:
    statement = read_stored_depth(png(tmp_path, ROOM * 1000, **texts)).metadata
    assert (statement.kind, statement.is_decodable, statement.warnings) == (None, False, ())


SENTENCES = {
    "depth [cm]": 0.01,
    "depth (mm)": 0.001,
    "depth / cm": 0.01,
    "depth_mm": 0.001,
    "values in 0.1mm": 1e-4,
    "z in units of 0.1 mm": 1e-4,
    "depth in 1/10 mm": 1e-4,
    "depth in tenths of a millimetre": 1e-4,
    "Tiefe in cm": 0.01,
    "Tiefe in Zentimetern": 0.01,
    "profondeur en centim\N{LATIN SMALL LETTER E WITH GRAVE}tres": 0.01,
    "16 bit depth map, millimetres": 0.001,
    "uint16 depth 640x480 in mm, 0 = invalid": 0.001,
    "depth in mm (Intel RealSense D435)": 0.001,
    "depth image 1 of 20, in millimeters": 0.001,
    "1 count = 0.2 mm": 0.0002,
    "0.2 mm per count": 0.0002,
    "16-bit depth, 256 counts per metre": 1 / 256,
    "units per meter: 5000": 1 / 5000,
    "depth in metres, multiplied by 5000": 1 / 5000,
    "depth = value / 256 m": 1 / 256,
    "divide by 5000 to get metres": 1 / 5000,
    "centimetres": 0.01,
    "z = value * 0.2 mm": 0.0002,
    "depth[m] = pixel / 5000": 1 / 5000,
    "depth_units_in_meters: 0.0002": 0.0002,
    "depthUnitsPerMeter: 5000": 1 / 5000,
    "depth in 10 mm steps": 0.01,
}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_sentence_states_the_unit(sentence: str, tmp_path: Path) -> None:
    scale = SENTENCES[sentence]
    path = png(tmp_path, ROOM / scale, Comment=sentence)
    numbers = read_stored_depth(path)
    assert numbers.metadata.scale == pytest.approx(scale)
    assert numbers.metadata.warnings == ()
    made = rilievo.Prediction.from_depth(PHOTO, path, FOCAL)
    np.testing.assert_allclose(made.depth.values, ROOM, rtol=8e-3)
    assert sentence in made.notes[0]
    assert not any("not read" in note for note in made.notes)


@pytest.mark.parametrize(
    "sentence",
    [
        "lens 50 mm, f/2.8",
        "depth of field: 30 cm",
        "taken at 2 m distance",
        "baseline 50 mm, depth by stereo",
        "depth sensor at 1.2 m above the floor",
        "depth map, 16 bit",
        "depth map of scene 12 recorded 2026-11-29",
        "Kinect v2 depth, 512x424",
        "depth aligned to colour",
        "ISO 100, 35 mm, exposure 1/60 s, depth pass",
        "scale 50% of the depth pass",
        "Range: 2 of 5",
    ],
)
def test_a_sentence_about_something_else_states_no_unit(sentence: str, tmp_path: Path) -> None:
    statement = read_stored_depth(png(tmp_path, ROOM * 1000, Comment=sentence)).metadata
    assert (statement.scale, statement.warnings) == (None, ())


@pytest.mark.parametrize(
    "texts",
    [
        {"Comment": "depth from 0.5 m to 20 m"},
        {"Comment": "depth in metres"},
        {"Comment": "depth in cm, confidence in mm"},
        {"Comment": "Distances in millimetres, max 10 m"},
        {"Comment": "5000 = 1 m"},
        {"unit": "fathom"},
    ],
)
def test_a_sentence_that_is_not_clear_is_doubted_unless_the_scale_is_declared(
    texts: dict[str, str], tmp_path: Path
) -> None:
    path = png(tmp_path, ROOM * 1000, **texts)
    numbers = read_stored_depth(path)
    assert numbers.metadata.scale is None
    assert len(numbers.metadata.warnings) == 1
    declared = parse_encoding("scale=mm", "encoding")
    assert read_stored_depth(path, encoding=declared).metadata.warnings == ()


def test_a_declared_unit_goes_before_that_of_a_sentence(tmp_path: Path) -> None:
    path = png(tmp_path, ROOM * 1000, Comment="Tiefe in cm")
    made = rilievo.Prediction.from_depth(PHOTO, path, FOCAL, unit="mm")
    np.testing.assert_allclose(made.depth.values, ROOM, rtol=2e-3)
    assert any("Tiefe in cm" in note and "centimetres" in note for note in made.notes)
    path = png(tmp_path, ROOM * 1000, Comment="depth in mm")
    made = rilievo.Prediction.from_depth(PHOTO, path, FOCAL, encoding="scale=0.001")
    assert not any("depth in mm" in note for note in made.notes)


def test_the_unit_of_a_range_may_stand_in_a_sentence(tmp_path: Path) -> None:
    path = png(tmp_path, between(ROOM), min="500", max="10000", Comment="depth in mm")
    np.testing.assert_allclose(read_stored_depth(path).values, ROOM, rtol=2e-3)


@pytest.mark.parametrize(
    "texts",
    [
        {"range": "[0.5, 10]"},
        {"range": "0.5-10 m"},
        {"Comment": "range: 500 mm to 10000 mm"},
        {"range": "500 10000", "unit": "mm"},
    ],
)
def test_both_ends_of_a_range_have_its_unit(texts: dict[str, str], tmp_path: Path) -> None:
    numbers = read_stored_depth(png(tmp_path, between(ROOM), **texts))
    np.testing.assert_allclose(numbers.values, ROOM, rtol=2e-3)


def test_a_range_that_falls_is_refused(tmp_path: Path) -> None:
    path = png(tmp_path, between(ROOM, HIGH, LOW), white="0.5", black="10")
    with pytest.raises(InputError, match="does not increase"):
        read_stored_depth(path)


def test_units_of_imagej_are_those_of_its_numbers_if_it_says_so(tmp_path: Path) -> None:
    calibrated = "ImageJ=1.54f\nunit=mm\ncf=0\nc0=500\nc1=2\nvunit=mm\n"
    numbers = read_stored_depth(tiff(tmp_path, (ROOM * 1000 - 500) / 2, tag270=calibrated))
    np.testing.assert_allclose(numbers.values, ROOM, rtol=2e-3)
    assert numbers.metadata.warnings == ()
    spaced = "ImageJ=1.54f\nunit=cm\nmin=0.0\nmax=655.35\n"
    [doubt] = read_stored_depth(tiff(tmp_path, ROOM * 100, tag270=spaced)).metadata.warnings
    assert "scale: 0.01" in doubt


@pytest.mark.parametrize(
    ("texts", "quantity"),
    [
        ({"quantity": "inverse depth"}, StoredQuantity.INVERSE),
        ({"unit": "1/m"}, StoredQuantity.INVERSE),
        ({"inverse": "true"}, StoredQuantity.INVERSE),
        ({"inverse depth": "false"}, None),
        ({"Comment": "disparity in px"}, StoredQuantity.DISPARITY),
        ({"kind": "disparity"}, StoredQuantity.DISPARITY),
        ({"scale": "log"}, StoredQuantity.LOGARITHM),
        ({"encoding": "log10(depth)"}, StoredQuantity.LOGARITHM),
        ({"depth_type": "z-buffer"}, StoredQuantity.BUFFER),
        ({"type": "distance"}, StoredQuantity.DISTANCE),
        ({"MeasureType": "OpticRay"}, StoredQuantity.DISTANCE),
        ({"colour_space": "linear"}, None),
        ({"unit": "1/5000 m"}, None),
    ],
)
def test_words_name_a_quantity(texts: dict[str, str], quantity: StoredQuantity | None) -> None:
    assert parse_text_metadata(texts).quantity is quantity


@pytest.mark.parametrize(
    ("name", "quantity", "metres"),
    [
        ("inverse_depth", StoredQuantity.INVERSE, None),
        ("invDepth", StoredQuantity.INVERSE, None),
        ("disparity_map", StoredQuantity.DISPARITY, None),
        ("distance", StoredQuantity.DISTANCE, None),
        ("depth_cm", None, 0.01),
        ("depthMm", None, 0.001),
        ("depth", None, None),
        ("m", None, None),
        ("arr_0", None, None),
        ("depth_map", None, None),
    ],
)
def test_the_name_of_an_array_states_kind_and_unit(
    name: str, quantity: StoredQuantity | None, metres: float | None
) -> None:
    assert parse_array_name(name) == (quantity, metres)
