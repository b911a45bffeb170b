"""The JSON beside results: everything comes back, and nothing else is taken for one."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rilievo.errors import InputError
from rilievo.io.json_record import InvalidRecordError, from_json, to_json
from rilievo.io.outputs.sidecar import (
    ColourFacts,
    FileFacts,
    Sidecar,
    SourceFacts,
    SurfaceFacts,
    camera_from_facts,
    depth_facts,
    make_sidecar,
    parse_sidecar,
    read_sidecar,
    write_sidecar,
)
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import Calibration, MadeBy
from support.predictions import MADE_BY, prediction

WHOLE = replace(
    make_sidecar(
        replace(
            prediction(),
            calibration=Calibration(
                method="known points",
                asked=("10,12,2.5", "3,4,1"),
                space="depth",
                scale=1.5,
                shift=0.0,
                residuals=(0.01, -0.02),
                warning="the second point is off",
            ),
        ),
        run={"camera": None, "edge": 0.08},
    ),
    files=(
        FileFacts(
            file="photo.depth.png",
            output="colour",
            holds="picture of depth",
            colour=ColourFacts(
                map="viridis", draws="1/depth", low=0.25, high=1.0, invalid=(128, 128, 128)
            ),
        ),
        FileFacts(
            file="photo.depth.npy",
            output="npy",
            holds="depth",
            unit="metre",
            scale=1.0,
            offset=0.0,
            invalid="nan",
        ),
        FileFacts(
            file="photo.glb",
            output="glb",
            holds="mesh",
            axes="x right",
            surface=SurfaceFacts(
                pixel_step=2, points=9, triangles=8, edge_jump=0.1, grazing_degrees=3.0
            ),
        ),
    ),
    earlier=("photo.ply",),
)


def test_a_sidecar_comes_back_as_it_was(tmp_path: Path) -> None:
    write_sidecar(tmp_path / "photo.json", WHOLE)
    assert read_sidecar(tmp_path / "photo.json") == WHOLE


def test_the_json_says_what_a_reader_must_know() -> None:
    data = json.loads(to_json(WHOLE))
    assert data["format"] == "rilievo/1"
    assert data["source"] == {"file": "photo.jpg", "width": 32, "height": 24}
    assert data["depth"]["kind"] == "metric"
    assert data["depth"]["unit"] == "metre"
    assert data["depth"]["minimum"] == 1.0
    assert data["depth"]["valid_pixels"] == 24 * 32 - 2
    assert data["camera"]["K"] == [[30.0, 0.0, 15.5], [0.0, 31.0, 11.0], [0.0, 0.0, 1.0]]
    assert data["camera"]["source"] == "exif_35mm"
    assert data["made_by"]["model"] == "test/model"
    assert data["made_by"]["weights_sha256"] == "ab" * 32
    assert data["made_by"]["licence"] == "Apache-2.0"
    assert data["made_by"]["settings"]["tile"] is None
    assert data["calibration"]["asked"] == ["10,12,2.5", "3,4,1"]


def test_the_field_of_view_reaches_from_edge_to_edge() -> None:
    """16 pixels on each side of the centre at a focal length of 30: twice atan(16 / 30)."""
    facts = make_sidecar(prediction()).camera
    assert facts is not None
    assert facts.horizontal_fov == pytest.approx(2 * np.degrees(np.arctan(16 / 30)))
    above, below = np.arctan(11.5 / 31), np.arctan(12.5 / 31)
    assert facts.vertical_fov == pytest.approx(np.degrees(above + below))


def test_the_camera_comes_back_bit_for_bit(tmp_path: Path) -> None:
    given = prediction()
    assert given.camera is not None
    camera = replace(given.camera, K=given.camera.K * [[1 / 3], [1 / 7], [1]])
    write_sidecar(tmp_path / "a.json", make_sidecar(replace(given, camera=camera)))
    facts = read_sidecar(tmp_path / "a.json").camera
    assert facts is not None
    back = camera_from_facts(facts)
    np.testing.assert_array_equal(back.K, camera.K)
    assert back.source is camera.source


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_the_range_of_depth_has_no_more_digits_than_a_float32(value: float) -> None:
    """The text of the number is that of the float32, whose bits come back from it."""
    facts = depth_facts(DepthKind.AFFINE, (value, value), 1)
    for end in (facts.minimum, facts.maximum):
        assert end is not None
        assert np.float32(end).tobytes() == np.float32(value).tobytes()
        assert len(repr(end).partition("e")[0].strip("-").replace(".", "").strip("0")) <= 9


def test_a_depth_of_906_millimetres_is_written_as_0_906() -> None:
    whole = prediction(values=np.full((24, 32), 0.906), holes=False)
    data = json.loads(to_json(make_sidecar(whole)))
    assert (data["depth"]["minimum"], data["depth"]["maximum"]) == (0.906, 0.906)


def test_a_map_without_a_valid_pixel_has_no_range() -> None:
    whole = prediction()
    assert whole.depth is not None
    depth = replace(whole.depth, valid=np.zeros(whole.shape, bool))
    facts = make_sidecar(replace(whole, depth_or_none=depth)).depth
    assert facts is not None
    assert (facts.minimum, facts.maximum, facts.valid_pixels) == (None, None, 0)


def test_a_prediction_of_normals_alone_is_described() -> None:
    whole = prediction()
    bare = Prediction(normals=whole.normals, made_by=MADE_BY)
    sidecar = make_sidecar(bare)
    assert sidecar.depth is None
    assert sidecar.camera is None
    assert sidecar.source == SourceFacts(file="array", width=32, height=24)
    assert parse_sidecar(to_json(sidecar), "x") == sidecar


finite = st.floats(allow_nan=False, allow_infinity=False)
settings_of_a_model = st.dictionaries(
    st.text(), st.none() | st.booleans() | st.integers() | finite | st.text()
)


@given(values=settings_of_a_model, file=st.text())
def test_any_settings_and_any_name_come_back(values: dict, file: str) -> None:
    made_by = MadeBy(model="m", weights_sha256="", licence="", settings=values, version="0")
    sidecar = Sidecar(source=SourceFacts(file=file, width=1, height=1), made_by=made_by)
    back = parse_sidecar(to_json(sidecar), "x")
    assert back == sidecar
    assert [type(value) for value in back.made_by.settings.values()] == [
        type(value) for value in values.values()
    ]


def test_fields_of_a_later_minor_version_are_passed_over() -> None:
    data = json.loads(to_json(WHOLE))
    data["weather"] = {"sun": True}
    data["depth"]["mood"] = "deep"
    assert parse_sidecar(json.dumps(data), "x") == WHOLE


def change(**changes: object) -> str:
    """The JSON of ``WHOLE`` with some fields changed; dots lead into it, None removes."""
    data = json.loads(to_json(WHOLE))
    for place, value in changes.items():
        *way, last = place.split("__")
        inside = data
        for step in way:
            inside = inside[int(step) if step.isdigit() else step]
        if value is None:
            del inside[last]
        else:
            inside[last] = value
    return json.dumps(data)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("[" * 100_000, "not valid JSON"),
        ("{", "not valid JSON"),
        ("NaN", "not valid JSON"),
        ("9" * 5000, "not valid JSON"),
        ("[]", "expected a mapping"),
        ("{}", "it has no 'format'"),
        ('{"format": 1}', "format is 1, expected a text"),
        ('{"format": "rilievo/2"}', "this version of rilievo reads 'rilievo/1': use the version"),
        (change(source=None), "it has no 'source'"),
        (change(source__width="32"), 'source.width is "32", expected an integer'),
        (change(source__width=True), "source.width is true, expected an integer"),
        (change(depth__kind="deep"), "expected one of metric, up_to_scale"),
        (change(depth=[1]), "depth is [1], expected a mapping"),
        (change(camera__K=[[1, 2], [3, 4]]), "expected a list of 3"),
        (change(camera__horizontal_fov=10**400), "expected a number"),
        (change(made_by__settings=3), "made_by.settings is 3, expected a mapping"),
        (change(made_by__settings__flip=[]), "made_by.settings.flip is []"),
        (change(files=7), "files is 7, expected a list"),
        (change(files__0__file=None), "files[0] has no 'file'"),
        (change(files__0__file="../../etc/passwd"), "is not the name of a file in its folder"),
        (change(earlier=["a/b"]), "'a/b', which is not the name of a file in its folder"),
        (change(earlier=[""]), "'', which is not the name"),
        (change(earlier=[".."]), "'..', which is not the name"),
    ],
)
def test_what_rilievo_did_not_write_is_refused_in_one_line(
    tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "photo.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_sidecar(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert words in message
    assert "\n" not in message
    assert len(message) < 400 + len(str(path))


def test_bytes_that_are_no_text_and_files_that_are_not_there_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "photo.json"
    with pytest.raises(InputError, match="no such file"):
        read_sidecar(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        read_sidecar(path)
    with pytest.raises(InputError, match="is a folder"):
        read_sidecar(tmp_path)


@given(
    at=st.integers(0, len(to_json(WHOLE)) - 1),
    letter=st.sampled_from('0x"{}[],:-. '),
    cut=st.booleans(),
)
def test_damage_anywhere_is_one_line_or_harmless(at: int, letter: str, cut: bool) -> None:
    text = to_json(WHOLE)
    text = text[:at] if cut else text[:at] + letter + text[at + 1 :]
    message = "photo.json: fine"
    try:
        parse_sidecar(text, "photo.json")
    except InputError as error:
        message = str(error)
    assert message.startswith("photo.json: ")
    assert "\n" not in message


def test_a_record_that_holds_no_number_is_not_written() -> None:
    """NaN is no JSON: whoever puts one into a record has made a mistake."""
    wrong = replace(WHOLE, run={"edge": float("nan")})
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(wrong)


def test_the_reason_inside_an_optional_record_is_said() -> None:
    with pytest.raises(InvalidRecordError, match=r"calibration has no 'scale'"):
        from_json(Sidecar, change(calibration__scale=None))
