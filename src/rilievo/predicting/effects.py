"""Options that do not fit a run's inputs, or that have no effect on them."""

from collections.abc import Iterator, Mapping

from rilievo.calibration.lengths import KnownLength
from rilievo.errors import OptionError
from rilievo.io.outputs.save_options import COLOURING, SURFACE, WRITING
from rilievo.options.known_sizes import KnownSizes
from rilievo.options.option_record import flag
from rilievo.options.saving_options import Saving
from rilievo.predicting.inputs import Medium
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.photographs.units import unit_notes
from rilievo.prediction.output_table import OUTPUTS, options_of
from rilievo.prediction.saving import parts_of

_CLIPS = "videos and folders of frames (--sequence)"
_ABOUT: Mapping[str, str] = {
    **dict.fromkeys(COLOURING, "pictures of depth"),
    **dict.fromkeys(SURFACE, "surfaces"),
    "backing": "meshes and clouds",
    "stereo": "stereo pictures",
    "confidence": "confidence",
}
"""Subject of each option that only some outputs show."""


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


def without_effect(options: PredictOptions, inputs: Mapping[Medium, int]) -> list[str]:
    """Notes on options that have no effect on so many inputs, or hardly the one that is meant."""
    sizes = options.sizes
    notes = unit_notes(sizes.facts, sizes.camera_height, options.view.fov)
    return [*notes, *_about_inputs(options, inputs), *_about_outputs(options)]


def _about_inputs(options: PredictOptions, inputs: Mapping[Medium, int]) -> Iterator[str]:
    sequences, photographs = inputs.get(Medium.SEQUENCE, 0), inputs.get(Medium.PHOTO, 0)
    clips, several = sequences + inputs.get(Medium.VIDEO, 0), sum(inputs.values()) > 1
    video, saving, view = options.video, options.saving, options.view
    for name, is_given, has_effect, about in (
        ("sequence", video.sequence, sequences, "folders of frames, and none"),
        ("fps", video.fps is not None, clips, f"{_CLIPS}, and none"),
        ("independent", video.independent, clips, f"{_CLIPS}, and none"),
        ("keep_answers", saving.keep_answers == "on", photographs, "photographs, and none"),
        ("same_camera", options.sizes.same_camera, several, "several inputs, and one"),
        ("batch_size", options.speed.batch_size > 1, several or clips, "several inputs, and one"),
    ):
        if is_given and not has_effect:
            yield f"{flag(name)} is about {about} was named"
    for name in ("camera", "fov", "projection"):
        if view.vanishing_points and getattr(view, name) is not None:
            yield f"--vanishing-points is about an unknown focal length, and {flag(name)} gives it"


def _about_outputs(options: PredictOptions) -> Iterator[str]:
    saving, is_mirror = options.saving, options.refine.mirrors
    for name, about in _ABOUT.items():
        is_given = name in WRITING and getattr(saving, name) != getattr(Saving, name)
        is_given = is_given or (name == "confidence" and is_mirror)
        if is_given and not any(_concerns(name, each) for each in saving.formats):
            names = " or ".join(each for each in OUTPUTS.own if _concerns(name, each))
            yield f"{flag(name)} is about {about}, and none is saved: add {names} to --save"


def _concerns(option: str, output: str) -> bool:
    """Whether an option decides how an output looks, or what it holds."""
    return option in options_of(output) or option in parts_of([output])
