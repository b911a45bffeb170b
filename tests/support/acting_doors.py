"""Doors of rilievo as functions from options to what comes of them, for tests of effects.

Each door takes the files of photographs and options by the names of the schema, and returns what
its user has then: the facts of a prediction, the contents of files, or that it was refused.
"""

import json
import re
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import WebSocketDenialResponse

import rilievo
from rilievo.calibration.sizes import parse_circle
from rilievo.cli import main
from rilievo.errors import RilievoError
from rilievo.io.videos import live_frames
from rilievo.measure.measurement_records import measure_points
from rilievo.options.live_options import live_option_names
from rilievo.predicting.options import RECORDS
from rilievo.prediction import Prediction
from rilievo.schema.fields import Interface, list_options, option_names
from rilievo.serving import live_page
from rilievo.serving.assistant.known_tool import KNOWN, KnownArguments
from rilievo.serving.assistant.named_folders import NamedFolders
from rilievo.serving.assistant.photographs import Photographs
from rilievo.serving.server.params import MeasureParams, PredictParams, StreamParams
from support.served_app import App

Values = dict[str, Any]
"""Options by their names in the schema."""
Outcome = Mapping[str, Any]
"""Facts of a prediction, or contents of files by their suffixes."""

PLAIN = "support.acting_model:plain"
POINT = (20.0, 20.0)
"""Column and row of the point that is measured."""
REFUSED: Outcome = {"refused": True, "value": None}
SCHEMA = {one.name: one for record in RECORDS.values() for one in list_options(record)}
_IN_TOOLS: Mapping[str, Callable[[str], Values]] = {
    "known": lambda text: _fact(text, 1) | {"along_ray": False},
    "known_length": lambda text: _fact(text, 2),
    "known_rectangle": lambda text: _rectangle(text),
    "known_circle": lambda text: _circle(text),
}
"""Arguments of the assistant's tool that stand for an option of another name."""


def _circle(text: str) -> Values:
    circle = parse_circle(text)
    return {
        "points": circle.ellipse.rim(12).T.tolist(),
        "unit": "pixel",
        "metres": circle.metres,
    }


def _fact(text: str, points: int) -> Values:
    *numbers, metres = map(float, text.split(","))
    return {"points": np.reshape(numbers, (points, 2)), "unit": "pixel", "metres": metres}


def facts(prediction: Prediction) -> Outcome:
    """All that options of the answer may change."""
    depth, camera = prediction.depth, prediction.camera
    assert camera is not None
    value = None
    with suppress(RilievoError):
        value = measure_points(prediction, [POINT], "distance").value
    return {
        "depth": np.where(depth.valid, depth.values, np.float32(np.nan)),
        "kind": str(depth.kind),
        "camera": str(camera.source),
        "degrees": camera.field_of_view(prediction.shape),
        "confidence": prediction.confidence,
        "model": prediction.made_by.model,
        "value": value,
        "notes": prediction.notes,
    }


def contents(files: Iterable[tuple[str, bytes]]) -> Outcome:
    """Files by what follows the first dot of their names; PNG as pixels, PLY without comments."""
    return {
        name.partition(".")[2]: _pixels(content)
        if name.endswith(".png")
        else re.sub(rb"\ncomment .*", b"", content)
        for name, content in files
        if not name.endswith(".json")
    }


def _pixels(content: bytes) -> np.ndarray:
    with Image.open(BytesIO(content)) as picture:
        return np.asarray(picture.convert("RGB") if picture.mode == "P" else picture)


def words(values: Values) -> list[tuple[str, str]]:
    """Options as pairs of texts; those of several values are repeated."""
    return [
        (name, str(one).lower() if isinstance(one, bool) else str(one))
        for name, value in values.items()
        for one in (value if isinstance(value, tuple) else (value,))
    ]


def flags(values: Values) -> list[str]:
    """Options as words of a command line."""
    line: list[str] = []
    for name, text in words(values):
        one = SCHEMA[name]
        alone = {"true": one.flag, "false": one.off_flag}
        line += [alone.get(text, f"{one.flag}={text}")] if one.is_switch else [one.flag, text]
    return line


def _rectangle(text: str) -> Values:
    *numbers, thing = text.split(",")
    return {"points": np.reshape([*map(float, numbers)], (4, 2)), "unit": "pixel", "thing": thing}


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """All doors.

    Attributes:
        app: Running app, which is the server too.
        folder: Folder for files.
        patches: Replacements meanwhile.
    """

    app: App
    folder: Path
    patches: pytest.MonkeyPatch

    @property
    def table(self) -> Mapping[str, tuple[frozenset[str], Callable[..., Outcome]]]:
        """Names of the options that each door offers, by its own declaration, and the door."""
        posted, schema = frozenset(PredictParams.model_fields), frozenset(SCHEMA)
        return {
            "python": (_offered(Interface.PYTHON), self.python),
            "command": (_offered(Interface.COMMAND), self.command),
            "live": (_offered_live(draws=True), self.live),
            "stream": (_offered_live(draws=False), self.stream),
            "predict of the server": (schema & posted, self.posted),
            "measure of the server": (schema & {*MeasureParams.model_fields}, self.measured),
            "stream of the server": (schema & {*StreamParams.model_fields}, self.streamed),
            "results of the app": (schema & posted - {"save"}, self.results),
            "files of the app": (schema & posted, self.files),
            "assistant": (schema & {*KnownArguments.model_fields, *_IN_TOOLS}, self.assistant),
        }

    def python(self, photos: Sequence[Path], values: Values, needs: Values) -> Outcome:
        """``rilievo.predict``."""
        rilievo.unload_model()
        lists = {name: [*value] for name, value in (needs | values).items() if name == "known"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            try:
                return facts(rilievo.predict(photos[0], **_with_model(needs | values | lists)))
            except RilievoError:
                return REFUSED

    def command(self, photos: Sequence[Path], values: Values, needs: Values) -> Outcome:
        """``rilievo predict``; the facts of an npz are those that ``read_prediction`` reads."""
        options = _with_model(needs | values)
        output = options.get("output", self.folder / f"command-{next(_NUMBERS)}")
        values = {"save": "npz", "output": output} | options
        if main(["predict", *map(str, photos), *flags(values)]):
            return REFUSED
        files = [path for path in sorted(output.rglob("*")) if path.is_file()]
        if files[0].suffix == ".npz" or files[-1].suffix == ".npz":
            return facts(rilievo.read_prediction(next(p for p in files if p.suffix == ".npz")))
        folder = f"{output.name}/" if "output" in options else ""
        pairs = ((path.name, path.read_bytes()) for path in files)
        return {f"{folder}{name}": content for name, content in contents(pairs).items()}

    def live(self, photos: Sequence[Path], values: Values, needs: Values) -> Outcome:
        """``rilievo predict --live`` of one frame: the picture on the page, and the prediction."""
        pictures: list[np.ndarray] = []
        outcome: list[Outcome] = []
        widths: list[int] = []
        show = live_page.LivePage.show

        def record(page: Any, predictions: Iterable[Prediction], options: Any) -> Any:
            frames = [*predictions]
            widths.append(frames[0].shape[1])
            outcome.append({**facts(frames[0]), "frames": len(frames)})
            return show(page, frames[:1], options)

        def jpeg(picture: np.ndarray) -> bytes:
            pictures.append(picture)
            return b""

        with self.patches.context() as patches:
            _patch_source(patches, photos[0])
            patches.setattr(live_page.LivePage, "show", record)
            patches.setattr(live_page, "_jpeg_bytes", jpeg)
            options = flags(_of_stream(values, needs))
            if main(["predict", "--live", str(photos[0]), *options, "--quiet"]):
                return REFUSED
        return {**outcome[0], "depth.png": pictures[0][:, widths[0] :]}

    def stream(self, photos: Sequence[Path], values: Values, needs: Values) -> Outcome:
        """``rilievo.stream`` of one frame, or of a clip."""
        options = _of_stream(values, needs)
        with self.patches.context() as patches, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            _patch_source(patches, photos[0])
            try:
                frames = [*rilievo.stream(photos[0], **options)]
            except RilievoError:
                return REFUSED
        return {**facts(frames[0]), "frames": len(frames)}

    def posted(self, photos: Sequence[Path], values: Values, needs: Values) -> Outcome:
        """``/v1/predict``, whose files are read as those of the command."""
        values = {"save": "npz"} | _with_model(needs | values)
        answer = self._post("/v1/predict", photos[0], values)
        return self._unpacked(answer, values["save"])

    def measured(self, photos: Sequence[Path], values: Values, needs: Values) -> Outcome:
        """``/v1/measure`` of the distance of one point."""
        values = _with_model(needs | values)
        answer = self._post("/v1/measure", photos[0], values, distance="{:g},{:g}".format(*POINT))
        return {"value": answer.json().get("value")}

    def streamed(self, photos: Sequence[Path], values: Values, needs: Values) -> Outcome:
        """``/v1/stream`` of one frame."""
        query = _query(_with_model(needs | values))
        try:
            with self.app.server.stream(f"?{query}") as socket:
                socket.send_bytes(photos[0].read_bytes())
                message = json.loads(socket.receive_text())
                if "error" in message:
                    return REFUSED
                return {"depth": np.load(BytesIO(socket.receive_bytes())), "kind": message["kind"]}
        except WebSocketDenialResponse:
            return REFUSED

    def results(self, photos: Sequence[Path], values: Values, needs: Values) -> Outcome:
        """A result of the app, made with the options."""
        save = needs.get("save", "npz")
        options = {name: value for name, value in (needs | values).items() if name != "save"}
        answer = self._post("/app/results", photos[0], _with_model(options))
        if answer.status_code != 200:
            return REFUSED
        return self._unpacked(self.app.files(answer.json()["id"], f"save={save}"), save)

    def files(self, photos: Sequence[Path], values: Values, needs: Values) -> Outcome:
        """Files of a result of the app, which was made without the options."""
        made = {name: value for name, value in needs.items() if name == "model"}
        answer = self._post("/app/results", photos[0], _with_model(made))
        if answer.status_code != 200:
            return REFUSED
        values = {"save": "npz"} | needs | values
        response = self.app.files(answer.json()["id"], _query(values))
        return self._unpacked(response, values["save"])

    def assistant(self, photos: Sequence[Path], values: Values, needs: Values) -> Outcome:
        """The tool ``known`` of the assistant, and the prediction that other tools tell of."""
        photo = str(photos[0])
        place = str(needs.get("model", PLAIN))
        model = rilievo.load_model(place)
        photographs = Photographs(NamedFolders([photos[0].parent]), lambda: model)
        options = {name: value for name, value in (needs | values).items() if name != "model"}
        try:
            for name, text in words(options):
                pair = _IN_TOOLS[name](text) if name in _IN_TOOLS else {name: text}
                KNOWN.answer(photographs, KnownArguments.model_validate({"photo": photo, **pair}))
            return facts(photographs.predict_photo(photo).prediction)
        except RilievoError:
            return REFUSED

    def _post(self, address: str, photo: Path, values: Values, **more: str) -> Any:
        query = _query({**values, **more})
        return self.app.client.post(f"{address}?{query}", content=photo.read_bytes())

    def _unpacked(self, answer: Any, save: str) -> Outcome:
        if answer.status_code != 200:
            return REFUSED
        name = answer.headers["content-disposition"].partition('filename="')[2].rstrip('"')
        if name.endswith(".zip"):
            with zipfile.ZipFile(BytesIO(answer.content)) as packed:
                return contents((member, packed.read(member)) for member in packed.namelist())
        if not name.endswith(".npz"):
            return contents([(name, answer.content)])
        path = self.folder / f"posted-{next(_NUMBERS)}.npz"
        path.write_bytes(answer.content)
        return facts(rilievo.read_prediction(path))


_NUMBERS = count()


def _offered(door: Interface) -> frozenset[str]:
    return frozenset(name for record in RECORDS.values() for name in option_names(record, door))


def _offered_live(*, draws: bool) -> frozenset[str]:
    names = (live_option_names(record, draws_pictures=draws) for record in RECORDS.values())
    return frozenset(name for of_record in names for name in of_record)


def _patch_source(patches: pytest.MonkeyPatch, photo: Path) -> None:
    """Let a stream have the pixels of a photograph as its only frame; a clip stays a clip."""
    if photo.suffix != ".mp4":
        pixels = rilievo.read_photo(photo).pixels
        patches.setattr(live_frames, "live_frames", lambda source, **options: iter([pixels]))


def _of_stream(values: Values, needs: Values) -> dict[str, Any]:
    """Options of a stream, which writes no files, and whose known sizes are those of all frames."""
    kept = {name: value for name, value in (needs | values).items() if name != "save"}
    has_known = {"known", "known_length", "known_rectangle", "known_circle", "sparse"} & {*kept}
    # Without values, it may be the option ``same_camera`` that is left out.
    return {**({"same_camera": True} if has_known and values else {}), **_with_model(kept)}


def _with_model(values: Values) -> dict[str, Any]:
    has_model = "model" in values or "quality" in values
    return {**({} if has_model else {"model": PLAIN}), **values}


def _query(values: Values) -> str:
    from urllib.parse import urlencode

    return urlencode(words(values))
