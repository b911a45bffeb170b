"""Every option acts at every door that offers it, and alike: seen by its effect."""

import math
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="the extra 'serve' is not installed")
pytest.importorskip("mcp", reason="the extra 'mcp' is not installed")

import rilievo
from rilievo.cli import main
from rilievo.errors import UntrustedCodeError
from rilievo.extensions.trust import TRUST
from rilievo.models import finding, model_options
from rilievo.models.finding import ModelKind
from rilievo.models.model_options import EngineOptions
from rilievo.predicting.metres.printed_markers import write_marker_page
from rilievo.predicting.photographs import anchoring
from rilievo.schema.fields import OptionField, option_names
from rilievo.serving.assistant.assistant_options import AssistantOptions
from rilievo.serving.server.server_options import AppOptions, ServeOptions
from support import acting_model, panelled_rooms
from support.acting_doors import PLAIN, SCHEMA, Doors, Outcome, Values, facts, flags
from support.clips import Clip, numbered, write_clip
from support.lens_boxes import boxes, turned
from support.photographs_with_depth import gdepth
from support.served_app import served_app

SIZE = 96, 128
ABSENT = None
AFFINE = "support.acting_model:affine"
LONG = frozenset(
    {
        *("markers", "cam_T_sensor", "depth_error", "own_depth"),
        *("sparse_crop", "sparse_encoding", "sparse_kind", "sparse_unit"),
        *("vanishing_points", "camera_height", "known_rectangle", "known_circle", "manhattan"),
    }
)
"""Options that take seconds; ``sparse`` and ``known`` stand for them in the quick tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Two values of an option between which the answer, the files or the work must differ.

    Attributes:
        other: A value.
        one: The other value; None leaves the option out.
        needs: Further options, without which the option has no effect.
        photos: Names of the files of photographs.
        earlier: Options of an earlier run to the same folder; None for no such run.
        is_damaged: Whether a byte of what that run wrote has changed since.
        rtol: Relative difference of numbers up to which doors agree.
    """

    other: Any
    one: Any = ABSENT
    needs: Values = field(default_factory=dict)
    photos: tuple[str, ...] = ("plain.png",)
    earlier: Values | None = None
    is_damaged: bool = False
    rtol: float = 1e-6


KNOWN = ("70,80,2.5",)
CASES: Mapping[str, Case] = {
    "output": Case(one="here", other="there", needs={"save": "npy"}),
    "overwrite": Case(other=True, needs={"save": "npy"}, earlier={"fov": 50.0}),
    "resume": Case(other="hash", needs={"save": "npy"}, earlier={}, is_damaged=True),
    "save": Case(one="npy", other="png16"),
    "colour_map": Case(other="turbo", needs={"save": "colour"}),
    "colour_range": Case(other="1,3", needs={"save": "colour"}),
    "surface_points": Case(other=200, needs={"save": "ply"}),
    "edge": Case(other=0.001, needs={"save": "ply"}),
    "drop": Case(other="background", needs={"save": "ply"}),
    "backing": Case(other=0.1, needs={"save": "ply"}, photos=("step.png",)),
    "stereo": Case(other="anaglyph", needs={"save": "stereo"}),
    "relief_height": Case(other=30.0, needs={"save": "stl"}, photos=("step.png",)),
    "relief_width": Case(other=30.0, needs={"save": "stl"}),
    "relief_base": Case(other=30.0, needs={"save": "stl"}),
    "normals_axes": Case(
        other="directx", needs={"save": "normals", "model": "support.acting_model:facing"}
    ),
    "quality": Case(one="fast", other="good"),
    "model": Case(one=PLAIN, other="support.acting_model:other"),
    "kind": Case(one="up_to_scale", other="affine_inverse", needs={"model": acting_model.UNKNOWN}),
    "settings": Case(other=("gain=2",)),
    "trust_code": Case(
        other=("their_lab:backbone",), needs={"model": "support.acting_model:trusting"}
    ),
    "camera": Case(other="90"),
    "fov": Case(other=40.0),
    "projection": Case(other="equirect:60x45"),
    "vanishing_points": Case(other=True, photos=("street.png",)),
    "known": Case(other=KNOWN),
    "known_length": Case(other=("10,60,80,60,0.5",)),
    "known_rectangle": Case(other=("10,60,80,60,84,90,6,90,0.5x0.3",)),
    "known_circle": Case(other=("40,50,30,20,10,0.3",)),
    "sparse": Case(other="sparse.npy"),
    "cam_T_sensor": Case(
        one="1,0,0,0,0,1,0,0,0,0,1,0",
        other="1,0,0,0,0,1,0,0,0,0,1,1",
        needs={"sparse": "points.xyz", "camera": "100,100,63.5,47.5"},
    ),
    "sparse_unit": Case(one=0.001, other=0.002, needs={"sparse": "counts.png"}),
    "sparse_kind": Case(one="metric", other="distance", needs={"sparse": "dense.npy"}),
    "sparse_crop": Case(one="resized", other="centre", needs={"sparse": "part.npy"}),
    "sparse_encoding": Case(
        one="scale=0.001", other="scale=0.001 max_depth=2.5", needs={"sparse": "counts.png"}
    ),
    "depth_error": Case(one="1%", other="9%", needs={"sparse": "dense.npy"}),
    "camera_height": Case(other=1.2, needs={"fov": 60.0}),
    "markers": Case(other=0.06, photos=("markers.png",)),
    "same_camera": Case(other=True, needs={"known": KNOWN}, photos=("plain.png", "step.png")),
    "own_depth": Case(one="on", other="off", photos=("phone.jpg",)),
    "anchor": Case(
        # A stream fits a sample of the pixels.
        one="auto",
        other="off",
        needs={"model": AFFINE, "known": KNOWN},
        rtol=1e-5,
    ),
    "tile": Case(other=64),
    "trim": Case(one="on", other="off", photos=("barred.png",)),
    "manhattan": Case(
        one="on",
        other="off",
        needs={"model": "support.acting_model:tilted", "fov": panelled_rooms.FOV},
        photos=("room.png",),
    ),
    "valid_mask": Case(other="circle.png"),
    "alpha": Case(one="mask", other="keep", photos=("transparent.png",)),
    "stretch": Case(other=True, photos=("deep.png",)),
    "device": Case(other="cuda"),
    "engine": Case(other="openvino"),
    "precision": Case(other="bf16"),
    "threads": Case(other=2),
    "batch_size": Case(other=2, photos=("plain.png", "noise.png")),
    "yes": Case(
        other=True, needs={"model": "support.acting_model:paid"}, photos=("plain.png", "step.png")
    ),
    "sequence": Case(other=True, needs={"save": "npy"}, photos=("frames",)),
    "fps": Case(other=10.0, needs={"save": "npy"}, photos=("clip.mp4",)),
    "independent": Case(other=True, needs={"save": "npy"}, photos=("clip.mp4",)),
}
"""Cases that the schema alone does not make."""


def case_of(option: OptionField) -> Case:
    """The case of an option: that of the table, or another choice or another state of a switch."""
    if option.name in CASES:
        return CASES[option.name]
    if option.value_type is bool:
        return Case(other=True)
    one, other, *_ = option.choices.values()
    return Case(one=one, other=other)


def _png(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(path)


def _markers(path: Path) -> None:
    """A page of markers 0.6 m away, head-on."""
    cv2 = pytest.importorskip("cv2")
    page = path.with_name("page.png")
    write_marker_page(page, side=0.06)
    with Image.open(page) as opened:
        sheet = np.asarray(opened.convert("L"))
    scale = 450 / 0.6 * 0.0254 / 300
    small = cv2.resize(sheet, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    picture = np.full((300, 400), 90, np.uint8)
    height, width = (min(pair) for pair in zip(small.shape, picture.shape, strict=True))
    picture[:height, :width] = small[:height, :width]
    _png(path, np.repeat(picture[..., None], 3, axis=2))
    page.unlink()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of photographs, and of what is known of them."""
    folder = tmp_path_factory.mktemp("photos")
    chance, width = np.random.default_rng(0), SIZE[1]
    noise = chance.integers(0, 100, (*SIZE, 3)).astype(np.uint8)
    slope = np.linspace(0, 150, width).astype(np.uint8)[None, :, None]
    plain = noise + slope
    _png(folder / "plain.png", plain)
    _png(folder / "noise.png", noise + np.uint8(60))
    step = plain.copy()
    step[:, width // 3 : width // 2] = 255
    _png(folder / "step.png", step)
    barred = plain.copy()
    barred[:24], barred[-8:] = 0, 0
    _png(folder / "barred.png", barred)
    alpha = np.full((*SIZE, 1), 255, np.uint8)
    alpha[:30] = 0
    _png(folder / "transparent.png", np.concatenate([plain, alpha], axis=2))
    _png(folder / "deep.png", 1000 + 100 * plain[..., 0].astype(np.uint16))
    frames = numbered(3, SIZE)
    (folder / "frames").mkdir()
    for number, frame in enumerate(frames):
        _png(folder / f"frames/{number}.png", frame)
    write_clip(folder / "clip.mp4", Clip(pictures=frames * 2))
    _markers(folder / "markers.png")
    (folder / "phone.jpg").write_bytes(gdepth())
    grey = boxes(240 / math.tan(math.radians(35) / 2), turned(35, 15, 3)).astype(np.uint8)
    Image.fromarray(grey).convert("RGB").resize((320, 240)).save(folder / "street.png")
    _png(folder / "room.png", panelled_rooms.panelled_room(25, 10, 3).pixels)
    sparse = np.zeros(SIZE, np.float32)
    sparse[::7, ::9] = 2 + np.linspace(0, 1, sparse[::7, ::9].size).reshape(sparse[::7, ::9].shape)
    np.save(folder / "sparse.npy", sparse)
    mask = np.full(SIZE, 255, np.uint8)
    mask[:10, :20] = 0
    _png(folder / "circle.png", mask)
    v, u = np.nonzero(sparse)
    points = sparse[v, u] * np.stack([(u - 63.5) / 100, (v - 47.5) / 100, np.ones(len(u))])
    np.savetxt(folder / "points.xyz", points.T)
    np.save(folder / "part.npy", np.linspace(2, 3, 45 * 60, dtype=np.float32).reshape(45, 60))
    np.save(folder / "dense.npy", np.full(SIZE, 2.5, np.float32))
    _png(folder / "counts.png", (1000 * sparse).astype(np.uint16))
    return folder


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """All doors, with models whose answers all options change."""
    folder = tmp_path_factory.mktemp("doors")
    names = ("plain", "other", "affine", "facing", "tilted")
    models = {
        f"support.acting_model:{name}": rilievo.load_model(f"support.acting_model:{name}")
        for name in names
    }
    with (
        pytest.MonkeyPatch.context() as patches,
        served_app(folder, models=models, workers=1) as app,
    ):
        acting = {"acting": ModelKind(words="", find="support.acting_model:find")}
        patches.setattr(finding, "MODEL_KINDS", {**acting, **finding.MODEL_KINDS})
        patches.setitem(model_options.QUALITIES, "fast", PLAIN)
        patches.setitem(model_options.QUALITIES, "good", "support.acting_model:other")
        patches.setattr(anchoring, "_default_model", lambda: models[PLAIN])
        patches.setenv(TRUST, "")
        yield Doors(app=app, folder=folder, patches=patches)


def _outcome(option: OptionField, door: Any, files: list[Path], case: Case, value: Any) -> Outcome:
    """Outcome of a value of an option at a door; of those of speed, the work."""
    values = _placed({} if value is ABSENT else {option.name: value}, files[0].parent)
    needs = _placed(case.needs, files[0].parent)
    if case.earlier is not None:
        needs |= {"output": files[0].parent / f"{option.name}-{value}" / "again"}
        door(files, case.earlier, needs)
        for path in needs["output"].glob("*.npy"):
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= case.is_damaged
            path.write_bytes(content)
    for record in (acting_model.LOADED, acting_model.BATCHES, acting_model.CALLS):
        record.clear()
    outcome = door(files, values, needs)
    if option.declaration.affects != "speed":
        return outcome
    work = [(load.device, load.engine, load.threads) for load in acting_model.LOADED]
    return {"work": (work, [*acting_model.BATCHES], [*acting_model.CALLS])}


def _placed(values: Values, folder: Path) -> dict[str, Any]:
    """Options with the folder before the names of files."""
    paths = ("sparse", "valid_mask", "output")
    return {name: folder / one if name in paths else one for name, one in values.items()}


def _same(one: Any, other: Any, rtol: float) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        is_fit = one.shape == other.shape
        return is_fit and np.allclose(one, other, rtol=rtol, atol=0, equal_nan=True)
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=rtol)
    return bool(one == other)


def _differences(one: Outcome, other: Outcome, rtol: float = 1e-6) -> set[str]:
    """Names of what two outcomes have in common and is not the same."""
    if one.get("refused") != other.get("refused") and len({*one} & {*other} - {"value"}):
        return {"refused"}
    return {name for name in one.keys() & other.keys() if not _same(one[name], other[name], rtol)}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in SCHEMA],
)
def test_an_option_acts_alike_at_all_doors_that_offer_it(
    name: str, doors: Doors, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    option, case = SCHEMA[name], case_of(SCHEMA[name])
    files = [photos / photo for photo in case.photos]
    first: dict[Any, Outcome] = {}
    for door, (offered, call) in doors.table.items():
        if name not in offered:
            continue
        outcomes = []
        for value in (case.one, case.other):
            monkeypatch.setenv(TRUST, "")
            outcomes.append(_outcome(option, call, files, case, value))
            agreed = first.setdefault(value, outcomes[-1])
            assert not _differences(agreed, outcomes[-1], case.rtol), (door, value)
        one, other = outcomes
        assert one.keys() != other.keys() or _differences(one, other), f"{door}: no effect"
    assert first


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ({"vanishing_points": True, "fov": 40.0}, "vanishing_points has no effect, because"),
        ({"edge": 0.2}, "edge only affects surfaces, which this run does not save: add"),
        ({"colour_map": "turbo"}, "colour_map only affects pictures of depth, which this run"),
    ],
)
def test_an_option_without_effect_is_noted_at_all_doors_that_offer_it(
    values: Values, note: str, doors: Doors, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count = 0
    for door, (offered, call) in doors.table.items():
        if values.keys() <= offered:
            outcome = call([photos / "plain.png"], values, {})
            notes = " ".join((*outcome.get("notes", ()), capsys.readouterr().err))
            notes = notes.replace("-", "_")  # flags as the names of options
            assert note in notes or "notes" not in outcome or "depth.png" in outcome, door
            count += note in notes
    assert count >= 4


def test_requests_are_told_in_their_words_what_has_no_effect(doors: Doors, photos: Path) -> None:
    query, content = "edge=0.2&vanishing_points=true&fov=40", (photos / "plain.png").read_bytes()
    answer = doors.app.client.post(f"/v1/predict?{query}", content=content)
    first, second = answer.json()["notes"]
    assert first == "vanishing_points has no effect, because fov gives the focal length"
    assert second.startswith("edge only affects surfaces, which this run does not save: add ply, ")
    assert second.endswith(" to save")


@pytest.mark.parametrize("name", ["flip", "tile", "trim", "alpha", "stretch", "fov"])
def test_a_clip_takes_the_options_of_photographs(
    name: str, doors: Doors, photos: Path, tmp_path: Path
) -> None:
    option, case = SCHEMA[name], case_of(SCHEMA[name])
    photo = photos / case.photos[0]
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(2):
        shutil.copy(photo, frames / f"{number}.png")
    needs = {"save": "npy", "sequence": True}
    outcomes = []
    for value in (case.one, case.other):
        expected = _outcome(option, doors.python, [photo], case, value)["depth"]
        values = {} if value is ABSENT else {name: value}
        output = tmp_path / str(value)
        assert "refused" not in doors.command([frames], {"output": output, **values}, needs)
        outcomes.append(np.load(min(output.rglob("*.npy"))))
        np.testing.assert_allclose(
            outcomes[-1], expected, rtol=1e-5
        )  # answers are stored meanwhile
    assert not np.allclose(*outcomes, rtol=1e-4, equal_nan=True)


def test_processes_take_the_options_of_one(doors: Doors, photos: Path, tmp_path: Path) -> None:
    values = {"flip": True, "fov": 40.0, "trim": "off", "alpha": "keep", "confidence": "own"}
    files = [photos / name for name in ("barred.png", "transparent.png")]
    line = ["predict", *map(str, files), "-o", str(tmp_path), "-m", PLAIN, "--save", "npz"]
    assert main([*line, "--workers", "2", *flags(values)]) == 0
    for file in files:
        outcome = facts(rilievo.read_prediction(tmp_path / f"{file.stem}.npz"))
        assert not _differences(doors.python([file], values, {}), outcome)


@pytest.mark.parametrize("kind", [ServeOptions, AppOptions, AssistantOptions])
def test_a_server_loads_models_as_its_options_ask(
    kind: type[Any], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRUST, "")
    folders = {"folder": (photos,)} if kind is AssistantOptions else {}
    for name in option_names(EngineOptions):
        case, loaded = CASES[name], acting_model.LOADED
        place = case.needs.get("model", PLAIN)
        if name == "trust_code":
            with pytest.raises(UntrustedCodeError):
                kind(**folders).load(place)
        kind(**folders, **{name: case.other}).load(place)
        assert getattr(loaded[-1], name, case.other) == case.other
        assert {*option_names(EngineOptions)} <= {*option_names(kind)}
