"""The JSON file beside the results of one photograph: meaning and origin of their values."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rilievo.errors import InputError, OptionError
from rilievo.geometry.cameras.pinhole import Pinhole
from rilievo.geometry.cameras.spelling import spelled, spelling_of
from rilievo.io.files.limits import printable, read_text
from rilievo.io.json_record import NotThisRecord, from_json, to_json
from rilievo.io.outputs.facts import (
    FORMAT,
    OUR_AXES,
    UNITS,
    CameraFacts,
    DepthFacts,
    Sidecar,
    SourceFacts,
    meaning_of,
)
from rilievo.types import Camera, DepthMap, Prediction, Setting

SUFFIX = ".json"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    format: str


def sidecar_path(stem: Path) -> Path:
    """Path of the JSON file for results whose path without suffix is ``stem``."""
    return stem.with_name(stem.name + SUFFIX)


def describe(
    prediction: Prediction,
    *,
    run: Mapping[str, Setting] | None = None,
    anchored: Prediction | None = None,
) -> Sidecar:
    """Make the sidecar of a prediction, before any file is written.

    ``anchored`` is the same with anchored depth, of which surfaces are made.
    """
    height, width = prediction.shape
    photo, camera, made_by = prediction.photo, prediction.camera, prediction.made_by
    return Sidecar(
        source=SourceFacts(
            file=Path(photo.name).name if photo else "array", width=width, height=height
        ),
        depth=None if prediction.depth_or_none is None else _depth_facts(prediction.depth),
        normals=OUR_AXES if (anchored or prediction).has("normals") else None,
        camera=None if camera is None else _camera_facts(camera, width, height),
        calibration=prediction.calibration,
        anchored=None if anchored is None else _depth_facts(anchored.depth),
        anchoring=prediction.anchoring if prediction.is_computed("anchoring") else None,
        made_by=replace(made_by, settings=dict(made_by.settings)),
        run=dict(run or {}),
    )


def write_sidecar(path: Path, sidecar: Sidecar) -> None:
    """Write the JSON; use a part file (``replacing``) to make the write atomic."""
    path.write_text(to_json(sidecar, indent=1) + "\n", encoding="utf-8")


def read_sidecar(path: Path) -> Sidecar:
    """Read the JSON file beside results."""
    return parse_sidecar(read_text(path), printable(path))


def find_sidecar(path: Path) -> Sidecar | None:
    """Read the JSON file beside results; None where there is none that can be read."""
    try:
        return read_sidecar(path)
    except InputError:
        return None


def parse_sidecar(text: str, name: str) -> Sidecar:
    """Parse a sidecar; errors call it ``name``."""
    try:
        found = from_json(_Head, text).format
        if found != FORMAT:
            raise InputError(
                f"{name}: its format is {found!r}, but this rilievo reads '{FORMAT}': "
                "use the version that wrote it"
            )
        sidecar = from_json(Sidecar, text)
    except NotThisRecord as error:
        raise InputError(f"{name}: not a JSON that rilievo wrote: {error}") from error
    for file in (*sidecar.names, *sidecar.earlier):
        if file in ("", ".", "..") or any(mark in file for mark in "/\\\0"):
            raise InputError(f"{name}: '{file}' is not the name of a file in its folder")
    return sidecar


def camera_of(facts: CameraFacts) -> Camera:
    """Make the camera that the facts describe.

    Raises:
        InputError: If they describe none.
    """
    if facts.K is None:
        try:
            return Camera(lens=spelled(facts.lens or "", "lens").lens((2, 2)), source=facts.source)
        except OptionError as error:
            raise InputError(f"the camera in its JSON is none: {error}") from error
    return Camera(K=np.array(facts.K, np.float64), source=facts.source)


def _depth_facts(depth: DepthMap) -> DepthFacts:
    valid_pixels = int(np.count_nonzero(depth.valid))
    inside = depth.values if valid_pixels == depth.values.size else depth.values[depth.valid]
    return DepthFacts(
        kind=depth.kind,
        unit=UNITS.get(depth.kind, "arbitrary"),
        meaning=meaning_of(depth.kind, is_distance=depth.is_distance),
        minimum=float(inside.min()) if valid_pixels else None,
        maximum=float(inside.max()) if valid_pixels else None,
        valid_pixels=valid_pixels,
    )


def _camera_facts(camera: Camera, width: int, height: int) -> CameraFacts:
    if not isinstance(camera.lens, Pinhole):
        upright = camera.lens.field_of_view_down((height, width))
        return CameraFacts(
            K=None,
            lens=str(spelling_of(camera.lens)),
            source=camera.source,
            horizontal_fov=round(camera.field_of_view((height, width)), 9),
            vertical_fov=round(upright, 9),
        )
    K = camera.K
    (fx, _, cx), (_, fy, cy), _ = rows = K.tolist()
    return CameraFacts(
        K=(tuple(rows[0]), tuple(rows[1]), tuple(rows[2])),
        source=camera.source,
        horizontal_fov=_angle(fx, cx, width),
        vertical_fov=_angle(fy, cy, height),
    )


def _angle(focal: float, centre: float, length: int) -> float:
    """Angle between the rays through the two outer edges, half a pixel beyond the outer centres."""
    before, after = centre + 0.5, length - 0.5 - centre
    angle = math.degrees(math.atan(before / focal) + math.atan(after / focal))
    return round(angle, 9)  # 55, not 54.99999999999999
