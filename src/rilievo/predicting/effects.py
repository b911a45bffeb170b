"""Options that do not fit a run's inputs, or that have no effect on them."""

from collections.abc import Sequence
from pathlib import Path

from rilievo.calibration.lengths import KnownLength
from rilievo.errors import OptionError
from rilievo.options.known_sizes import KnownSizes
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.photographs.units import unit_notes
from rilievo.prediction.output_table import OUTPUTS

_SURFACES = {name for name, each in OUTPUTS.items() if "drop" in (each.options or ())}
"""Outputs that show the surface, or parts of it."""


def check_known(sizes: KnownSizes, inputs: int) -> None:
    """Refuse points of one photograph if there are several, and a table that cannot be used."""
    if sizes.table is not None:
        from rilievo.calibration.known_csv import read_known_csv, shared_known

        (shared_known if sizes.same_camera else read_known_csv)(sizes.table)
    elif sizes.same_camera:
        if sizes.sparse is not None and sizes.sparse.is_dir():
            raise OptionError(
                f"--same-camera takes one file of --sparse, got the folder {sizes.sparse}"
            )
    elif sizes.sparse is not None and inputs > 1 and not sizes.sparse.is_dir():
        raise OptionError(
            f"--sparse {sizes.sparse} is of one photograph, and {inputs} were found: name a "
            "folder with one file for each, or give --same-camera if it never moved"
        )
    elif sizes.facts and inputs > 1:
        [first, *_] = sizes.facts
        what = "length" if isinstance(first, KnownLength) else "point"
        raise OptionError(
            f"known {what} {first} belongs to one photograph, and {inputs} were found: "
            "give a table, --known FILE.csv with the header file,u,v,metres, or --same-camera if "
            "it never moved"
        )


def without_effect(inputs: Sequence[str | Path], options: PredictOptions) -> list[str]:
    """Notes on options that have no effect, or hardly the one that is meant."""
    sizes, saving = options.sizes, options.saving
    notes = unit_notes(sizes.facts, sizes.camera_height, options.view.fov)
    if options.video.sequence and not any(Path(name).is_dir() for name in inputs):
        notes.append("--sequence is about folders of frames, and none was named")
    if saving.drop and not _SURFACES & {*saving.formats}:
        notes.append("--drop is about surfaces, and none is saved: add ply, glb or html to --save")
    if saving.backing and not (_SURFACES - {"html"}) & {*saving.formats}:
        notes.append(
            "--backing is about meshes and clouds, and none is saved: add glb or ply to --save"
        )
    return notes
