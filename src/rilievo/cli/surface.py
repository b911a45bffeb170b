"""``rilievo surface``: make the surface of a photograph from a depth map."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rilievo.cli.parsing import parse
from rilievo.cli.streams import print_to_stderr, printing
from rilievo.errors.messages import for_terminal, note_about
from rilievo.io.files.names import printable
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.photographs.photo import read_photo
from rilievo.options.camera_forms import CameraOptions
from rilievo.options.photo_options import DepthFile
from rilievo.predicting.photographs.named_camera import with_camera
from rilievo.prediction import Prediction
from rilievo.prediction.from_depth import prediction_from_depth
from rilievo.prediction.output_names import parse_output_names
from rilievo.prediction.saving import metre_notes, save, saving_notes
from rilievo.schema.fields import option


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    photo: Annotated[str, option(positional=True, metavar="PHOTO")]
    """Photograph that the depth belongs to."""
    depth_file: Annotated[DepthFile, option(inline=True)]
    view: Annotated[CameraOptions, option(inline=True, without=("vanishing_points",))]
    save: Annotated[str, option(aliases=("-s",), metavar="NAME,...")] = "glb"
    """Outputs to write, separated by commas, as for 'rilievo predict'."""
    output: Annotated[Path, option(aliases=("-o",), metavar="FOLDER")] = Path()
    """Folder for the files, which are named after the photograph."""
    overwrite: bool = False
    """Replace results that were made from another depth map."""


def main(arguments: Sequence[str]) -> int:
    """Make the surface of a photograph from a depth map; return the exit code."""
    request = parse(
        _Arguments,
        arguments,
        prog="rilievo surface",
        description="Make a surface from a photograph and its depth map.",
        examples=(
            "rilievo surface photo.jpg --depth depth.png --camera 525,525,319.5,239.5",
            "rilievo surface photo.jpg --depth z.npy --fov 60 --save glb,ply -o out",
        ),
    )
    view = request.view
    photo = read_photo(request.photo, own_depth=False)
    photo = with_camera(photo, view.named_camera, view.fov)
    has_user_camera = view.named_camera is not None or view.fov is not None
    depth_path = request.depth_file.require_depth()
    prediction = prediction_from_depth(
        Prediction,
        photo,
        depth_path,
        photo.camera if has_user_camera else None,
        **request.depth_file.keywords,
    )
    stem = request.output / Path(request.photo).stem
    names = parse_output_names(request.save)
    notes = (
        *saving_notes(prediction, stem.name, names),
        *metre_notes(prediction.depth.kind, names),
    )
    for note in (*prediction.notes, *notes):
        print_to_stderr(for_terminal(note_about(printable(depth_path), note)))
    options = SaveOptions(overwrite=request.overwrite)
    paths = save(prediction, stem, names, options)
    with printing():
        print("\n".join(map(printable, paths)))
    return 0
