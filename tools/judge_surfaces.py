"""Judge surfaces of the gallery's photographs by what one sees from beside the camera.

    python tools/judge_surfaces.py [--backing SHARE ...] [--sheets FOLDER] [NAME ...]

Background: the share of a view that a sheet without any cut would cover and the surface does not,
seen by eight cameras that went 15 degrees around the middle of the surface. Sky is left out of
both. Stretched: the share of the backing's triangles whose corners' depths differ by more than
10 %. With ``--sheets``, a picture of each surface from four views.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from everyday_photographs import NAMES, photograph
from PIL import Image

import rilievo
from rilievo.geometry.surfaces.lattice import Cut
from rilievo.geometry.surfaces.surface import Mesh, mesh, surface_step
from rilievo.io.outputs.dropping import surface_pixels
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.outputs.turning import Scene, View, first_view, picture, scene_of, seen
from rilievo.prediction import Prediction

_AWAY = 15.0
_SIDE = 320
_POINTS = 250_000
_STEP = 0.1
_WHOLE = Cut(grazing=0.0, jump=1e6)
_SHOWN = ((-15.0, 0.0), (15.0, 0.0), (0.0, 12.0), (0.0, 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One surface.

    Attributes:
        worst: Largest share of background of the eight views.
        mean: Mean share of background.
        stretched: Share of the backing's triangles over a step of more than 10 %.
        triangles: Number of the backing's triangles.
    """

    worst: float
    mean: float
    stretched: float
    triangles: int


def views(first: View) -> Iterator[View]:
    """Eight cameras, 15 degrees from the photograph's."""
    for turn in range(8):
        angle = turn * math.pi / 4
        yield replace(first, yaw=_AWAY * math.cos(angle), pitch=_AWAY * math.sin(angle))


def judged(prediction: Prediction, backing: float) -> Judged:
    """Judge the surface of one photograph."""
    options = SaveOptions()
    assert prediction.camera is not None
    assert prediction.photo is not None
    there = surface_pixels(prediction, ())
    step = surface_step(prediction.shape, _POINTS)

    def made(cut: Cut, share: float) -> Mesh:
        return mesh(
            prediction.depth.depth(),
            prediction.camera,
            there,
            normals=prediction.normals if cut is not _WHOLE else None,
            step=step,
            cut=cut,
            smooth=cut is not _WHOLE,
            backing=share,
        )

    front, whole, sheet = made(options.cut, 0), made(options.cut, backing), made(_WHOLE, 0)
    scene = scene_of(
        prediction, prediction.depth, prediction.camera, prediction.photo, SaveOptions()
    )
    shares = []
    for view in views(first_view(scene, _SIDE)):
        covered, wanted = (
            seen(replace(scene, mesh=each), view).inverse_depth > 0 for each in (whole, sheet)
        )
        shares.append(float((wanted & ~covered).mean()))
    behind = whole.triangles[len(front.triangles) :]
    depth = whole.points[:, 2][behind]
    steps = depth.max(axis=1) / depth.min(axis=1) - 1 if len(behind) else np.zeros(1)
    return Judged(
        worst=max(shares),
        mean=float(np.mean(shares)),
        stretched=float((steps > _STEP).mean()),
        triangles=len(behind),
    )


def sheet_of(scene: Scene) -> Image.Image:
    """Four views side by side."""
    first = first_view(scene, _SIDE)
    cells = [picture(scene, replace(first, yaw=yaw, pitch=pitch)) for yaw, pitch in _SHOWN]
    return Image.fromarray(np.concatenate(cells, axis=1))


def main() -> None:
    """Print a line a photograph and the means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", default=NAMES)
    parser.add_argument("--backing", type=float, nargs="+", default=[0.15])
    parser.add_argument("--sheets", type=Path)
    options = parser.parse_args()
    print("photograph        ", *(f"backing {each:<26g}" for each in options.backing))
    found: list[list[Judged]] = []
    for name in options.names:
        prediction = rilievo.predict(photograph(name))
        found.append([judged(prediction, each) for each in options.backing])
        print(f"{name:18}", *map(_words, found[-1]), flush=True)
        if options.sheets is not None:
            assert prediction.camera is not None
            assert prediction.photo is not None
            options.sheets.mkdir(parents=True, exist_ok=True)
            saving = SaveOptions(backing=options.backing[-1])
            parts = (prediction, prediction.depth, prediction.camera, prediction.photo)
            sheet_of(scene_of(*parts, saving)).save(options.sheets / f"{name}.jpg", quality=85)
    for place, backing in enumerate(options.backing):
        column = [each[place] for each in found]
        print(
            f"backing {backing:g}: mean {np.mean([each.mean for each in column]):.2%}, "
            f"{sum(each.worst < 0.01 for each in column)} of {len(column)} below 1 % in every "
            f"view, {sum(each.mean < 0.01 for each in column)} in the mean; worst "
            f"{max(each.worst for each in column):.2%}; stretched "
            f"{max(each.stretched for each in column):.2%}"
        )


def _words(each: Judged) -> str:
    return f"mean {each.mean:6.2%} worst {each.worst:6.2%} {each.triangles:7}"


if __name__ == "__main__":
    main()
