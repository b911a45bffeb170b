"""Notes and errors as users read them at the command line, in Python, and as the answers of the
server, the app and the assistant: a flag stands at the command line alone."""

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="the extra 'serve' is not installed")
pytest.importorskip("mcp", reason="the extra 'mcp' is not installed")

import rilievo
from rilievo.cli import main
from rilievo.errors import RilievoError
from rilievo.predicting.options import RECORDS, PredictOptions
from rilievo.schema.fields import Interface, option_names
from rilievo.serving.assistant.known_tool import KnownArguments
from rilievo.serving.server.params import PredictParams
from support.acting_doors import PLAIN, flags, words
from support.assistant_client import Desktop
from support.served_app import App, served_app
from support.views import read_view

Values = Mapping[str, Any]
Answer = Callable[[Values], str]

FLAG = re.compile(r"(?<![\w-])--?[a-z]")
KEYWORDS = frozenset(
    name for kind in RECORDS.values() for name in option_names(kind, Interface.PYTHON)
)
OPTIONS = frozenset(name for kind in RECORDS.values() for name in option_names(kind))
PREDICTED = frozenset(PredictParams.model_fields)
STATED = frozenset(KnownArguments.model_fields)
ERRORS: Mapping[str, Values] = {
    "a field of view out of range": {"fov": 200.0},
    "a camera that is none": {"camera": "no,camera"},
    "a camera and a field of view": {"camera": "500", "fov": 60.0},
    "a camera and a projection": {"camera": "500", "projection": "equirect"},
    "a field of view and a projection": {"fov": 60.0, "projection": "equirect"},
    "an unknown projection": {"projection": "flat"},
    "a lens with too few numbers": {"projection": "opencv:1,2"},
    "a negative height": {"camera_height": -1.0},
    "a distance and a height": {"known": ("1,2,3",), "camera_height": 1.0},
    "markers of 20 m": {"markers": 20.0},
    "markers and a height": {"markers": 0.1, "camera_height": 1.0},
    "a unit of no file": {"sparse_unit": 0.001},
    "one camera of nothing": {"same_camera": True},
    "a small tile": {"tile": 8},
    "flips without a confidence of them": {"flip": True, "confidence": "mirror"},
    "an unknown confidence": {"confidence": "none"},
    "an unknown alpha": {"alpha": "half"},
    "an unknown anchor": {"anchor": "maybe"},
    "an empty range of colours": {"colour_range": "2,1"},
    "one point of a surface": {"surface_points": 1},
    "an edge below zero": {"edge": -1.0},
    "an unknown output": {"save": "nothing"},
    "overwriting and resuming": {"overwrite": True, "resume": True},
}
"""Options that are refused."""
NOTES: Mapping[str, Values] = {
    "vanishing points of a known focal length": {"vanishing_points": True, "fov": 60.0},
    "a field of view in radians": {"fov": 1.0},
    "a height in centimetres": {"camera_height": 160.0},
    "an edge of no surface": {"edge": 0.2, "save": "colour"},
    "a backing of no surface": {"backing": 0.1, "save": "colour"},
    "a tile of a small photograph": {"tile": 640},
    "transparent pixels": {},
}
"""Options whose results are doubted."""
BRACES: Mapping[str, Values] = {
    "a drop": {"drop": "background={fov}"},
    "an unknown drop": {"drop": "{sky}"},
    "a camera": {"camera": "{fov=60}"},
    "a camera with a bar": {"camera": "{camera|fov}"},
    "a camera with doubled braces": {"camera": "a{{fov}}"},
    "a projection": {"projection": "fisheye:{fov}"},
    "an unknown projection": {"projection": "{projection}"},
    "an unknown output": {"save": "{npz}"},
    "a range of colours": {"colour_range": "{near},2"},
    "a confidence": {"confidence": "{mirror}"},
    "an alpha": {"alpha": "{keep}"},
    "an anchor": {"anchor": "{anchor=off}"},
    "a stereo pair": {"stereo": "{strength}=1"},
}
"""Options whose values have braces, and which are refused."""


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph of which no camera is known, a part of it transparent."""
    path = tmp_path_factory.mktemp("photographs") / "photo.png"
    picture = Image.effect_noise((160, 120), 60).convert("RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, 80, 60))
    picture.save(path)
    return path


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with ExitStack() as stack:
        yield stack.enter_context(served_app(tmp_path_factory.mktemp("served")))


@pytest.fixture
def command(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Answer:
    """Lines that the command line prints to standard error."""

    def read(values: Values) -> str:
        main(["predict", str(photo), "-m", PLAIN, "-o", str(tmp_path / "out"), *flags({**values})])
        return capsys.readouterr().err

    return read


@pytest.fixture
def doors(photo: Path, app: App, tmp_path: Path) -> Mapping[str, tuple[frozenset[str], Answer]]:
    """Names of the options of each door without flags, and what it answers to them."""

    def python(values: Values) -> str:
        """``rilievo.predict``, or ``predict_files`` for options of runs over files."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                if {*values} <= KEYWORDS:
                    points = [*values.get("known", ()), *values.get("known_length", ())]
                    options = {**values, "known": points}
                    options.pop("known_length", None)
                    made = rilievo.predict(photo, model=PLAIN, **options).notes
                else:
                    options = PredictOptions(model=PLAIN, output=tmp_path / "files", **values)
                    made = rilievo.predict_files([photo], options, show=False).notes
            except RilievoError as error:
                return str(error)
        return "\n".join([*map(str, made), *(str(each.message) for each in caught)])

    def posted(address: str) -> Answer:
        from urllib.parse import urlencode

        def read(values: Values) -> str:
            query = urlencode(words({**values}))
            answer = app.client.post(f"{address}?{query}", content=photo.read_bytes())
            if "json" in answer.headers["content-type"]:
                told = answer.json()
                if "id" in told:
                    view = app.client.get(f"/app/results/{told['id']}/view").content
                    told = read_view(view).about
                return told["error"] if "error" in told else "\n".join(told["notes"])
            return answer.headers["x-notes"]

        return read

    def assistant(values: Values) -> str:
        desktop = Desktop(photo.parent, model=rilievo.load_model(PLAIN))
        return desktop.call("known", photo=photo.name, **values).text

    return {
        "python": (OPTIONS, python),
        "server": (PREDICTED, posted("/v1/predict")),
        "app": (PREDICTED - {"save"}, posted("/app/results")),
        "assistant": (STATED, assistant),
    }


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_names_its_options_as_each_door_has_them(
    case: str, doors: Mapping[str, tuple[frozenset[str], Answer]], command: Answer
) -> None:
    values = ERRORS[case]
    line = command(values)
    assert line.startswith("rilievo: "), line
    assert FLAG.search(line), line
    check_without_flags(values, doors)


@pytest.mark.parametrize("case", NOTES)
def test_a_note_names_its_options_as_each_door_has_them(
    case: str, doors: Mapping[str, tuple[frozenset[str], Answer]], command: Answer
) -> None:
    values = NOTES[case]
    text = command(values)
    assert "note: " in text, text
    assert FLAG.search(text), text
    check_without_flags(values, doors)


@pytest.mark.parametrize("case", BRACES)
def test_braces_of_a_value_stay_as_they_were_given(
    case: str, doors: Mapping[str, tuple[frozenset[str], Answer]], command: Answer
) -> None:
    [(name, value)] = BRACES[case].items()
    [braces] = re.findall(r"\{+[^{}]*\}+", value)
    assert braces in command(BRACES[case])
    for door, (options, read) in doors.items():
        if name in options:
            assert braces in read(BRACES[case]), door


def test_braces_in_names_of_files_stay_as_they_are(
    photo: Path, app: App, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "photo {fov=60} {{fov}}.jpg"
    (tmp_path / name).write_bytes(b"no photograph")
    (tmp_path / "{camera}").mkdir()
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "rilievo.yaml").write_text("image: '{fov}.png'\ndepth: '{id}.npy'\n")
    np.save(tmp_path / "depth {known}.npy", np.zeros(5, np.float32))
    two = [str(photo), str(tmp_path / name), "-o", str(tmp_path / "out"), "-m", PLAIN]
    for line, braces in (
        (["predict", *two[1:]], name),
        (["predict", str(tmp_path / "{camera}")], "{camera}"),
        (["predict", *two, "--sparse", str(tmp_path / "depth {known}.npy")], "depth {known}.npy"),
        (["predict", *two, "--known", str(tmp_path / "{known=1,2,3}.csv")], "{known=1,2,3}.csv"),
        (["predict", *two[:1], "-m", "{model}"], "{model}"),
        (["predict", *two, "--trust-code", "{trust_code}"], "{trust_code}"),
        (["measure", *two[:1], "--mask", str(tmp_path / "{box}.png")], "{box}.png"),
        (["verify", str(tmp_path / "{resume}")], "{resume}"),
        (["check", "folder", str(tmp_path / "set")], "{fov}.png' must contain {id}"),
        (["check", "{dataset}", str(tmp_path / "set")], "{dataset}"),
        (["evaluate", "--crop", "{fov}"], "{fov}"),
    ):
        assert main(line) in (1, 2), line
        assert braces in capsys.readouterr().err, line
    with pytest.raises(RilievoError) as error:
        rilievo.read_photo(tmp_path / name)
    assert name in str(error.value)
    answer = app.client.post("/v1/predict?model={fov=60}", content=photo.read_bytes())
    assert "{fov=60}" in answer.json()["error"]


def check_without_flags(values: Values, doors: Mapping[str, tuple[frozenset[str], Answer]]) -> None:
    for name, (options, read) in doors.items():
        if {*values} <= options:
            text = read(values)
            assert text, name
            assert not FLAG.search(text), (name, text)
            assert "{" not in text, (name, text)
