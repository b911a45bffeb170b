"""What can be written of a prediction, and ``save``, which writes it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rilievo.errors import MissingExtraError, OptionError, suggest
from rilievo.io.atomic import make_folder
from rilievo.io.merging import agreeing, merged
from rilievo.io.ownership import check_claim
from rilievo.io.placement import Placement, filling, place_one
from rilievo.io.sidecar import describe, sidecar_path, write_sidecar
from rilievo.io.sums import sum_of
from rilievo.io.writing import SaveOptions, WriteJob
from rilievo.types import Prediction, Setting


class Need(StrEnum):
    """A part of a prediction that an output is made of."""

    DEPTH = "depth"
    NORMALS = "normals"
    CONFIDENCE = "confidence"
    CAMERA = "camera"
    PHOTO = "photo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One format.

    Attributes:
        suffix: Comes after the stem.
        summary: One line for help texts.
        needs: Parts of the prediction that it cannot do without.
        takes: Parts that it also holds, where the prediction has them.
        writer: ``module:function`` in ``rilievo.io.formats``, from ``WriteJob`` to ``FileFacts``.
        reader: ``module:function`` that reads numbers back as ``Stored``; None for pictures and
            surfaces.
        gives: The parts that can be read back.
        exact: Whether they come back bit for bit.
        embedded: ``module:function`` that reads the JSON inside, by which the file can be read
            alone.
        extra: The extra of rilievo that it needs.
        package: The package that this extra brings.
    """

    suffix: str
    summary: str
    needs: tuple[Need, ...]
    takes: tuple[Need, ...] = ()
    writer: str
    reader: str | None = None
    gives: tuple[Need, ...] = ()
    exact: bool = False
    embedded: str | None = None
    extra: str | None = None
    package: str | None = None


# A new format is one file in formats and one line here.
OUTPUTS: Mapping[str, Output] = {
    "colour": Output(
        suffix=".depth.png",
        summary="picture of depth in colour, near is bright",
        needs=(Need.DEPTH,),
        writer="colour:write",
    ),
    "png16": Output(
        suffix=".depth16.png",
        summary="depth in 16 bits: millimetres, or the scale stated inside; 0 is invalid",
        needs=(Need.DEPTH,),
        writer="png16:write",
        reader="png16:read",
        gives=(Need.DEPTH,),
        embedded="png16:embedded",
    ),
    "npy": Output(
        suffix=".depth.npy",
        summary="depth as a float32 array, NaN is invalid",
        needs=(Need.DEPTH,),
        writer="npy:write_depth",
        reader="npy:read_depth",
        gives=(Need.DEPTH,),
        exact=True,
    ),
    "npz": Output(
        suffix=".npz",
        summary="everything as arrays: depth, valid, normals, confidence, K",
        needs=(),
        takes=(Need.DEPTH, Need.NORMALS, Need.CONFIDENCE, Need.CAMERA),
        writer="npz:write",
        reader="npz:read",
        gives=(Need.DEPTH, Need.NORMALS, Need.CONFIDENCE),
        exact=True,
        embedded="npz:embedded",
    ),
    "tiff": Output(
        suffix=".depth.tiff",
        summary="depth as a float32 TIFF, NaN is invalid",
        needs=(Need.DEPTH,),
        writer="tiff:write",
        reader="tiff:read",
        gives=(Need.DEPTH,),
        exact=True,
        embedded="tiff:embedded",
    ),
    "exr": Output(
        suffix=".depth.exr",
        summary="depth as a float32 OpenEXR, NaN is invalid",
        needs=(Need.DEPTH,),
        writer="exr:write",
        reader="exr:read",
        gives=(Need.DEPTH,),
        exact=True,
        embedded="exr:embedded",
        extra="exr",
        package="OpenEXR",
    ),
    "normals": Output(
        suffix=".normals.png",
        summary="picture of the normals (OpenGL axes: x right, y up, z towards the viewer)",
        needs=(Need.NORMALS,),
        writer="normals:write",
        reader="normals:read",
        gives=(Need.NORMALS,),
    ),
    "normals-npy": Output(
        suffix=".normals.npy",
        summary="normals as a float32 array h x w x 3 (x right, y down, z forward)",
        needs=(Need.NORMALS,),
        writer="npy:write_normals",
        reader="npy:read_normals",
        gives=(Need.NORMALS,),
        exact=True,
    ),
    "confidence": Output(
        suffix=".confidence.png",
        summary="confidence in 8 bits, 255 is surest",
        needs=(Need.CONFIDENCE,),
        writer="confidence:write",
        reader="confidence:read",
        gives=(Need.CONFIDENCE,),
    ),
    "ply": Output(
        suffix=".ply",
        summary="point cloud with normals and colours",
        needs=(Need.DEPTH, Need.CAMERA),
        takes=(Need.NORMALS, Need.PHOTO),
        writer="ply:write",
    ),
    "glb": Output(
        suffix=".glb",
        summary="mesh that wears the photograph (glTF axes: x right, y up, z backwards)",
        needs=(Need.DEPTH, Need.CAMERA),
        takes=(Need.NORMALS, Need.PHOTO),
        writer="glb:write",
    ),
    "html": Output(
        suffix=".html",
        summary="page to send to somebody: pictures, facts, and the surface to turn",
        needs=(),
        takes=(Need.DEPTH, Need.NORMALS, Need.CONFIDENCE, Need.CAMERA, Need.PHOTO),
        writer="html:write",
    ),
}


def save(
    prediction: Prediction,
    stem: str | Path,
    names: Sequence[str] = ("colour",),
    options: SaveOptions | None = None,
    *,
    run: Mapping[str, Setting] | None = None,
    durable: bool = True,
) -> list[Path]:
    """Write a prediction in some formats, and last the JSON that explains them.

    Every file is written whole or not at all, and the JSON stands only beside complete files. If
    writing fails, whatever was there before is untouched. Saving the same prediction again adds
    formats to those that are there; another prediction is refused, unless it is to overwrite.

    Args:
        prediction: What to write.
        stem: Path of the files without their suffixes; its folder is made when missing.
        names: In ``OUTPUTS``.
        options: How; ``SaveOptions()`` when None.
        run: What else was asked, for the JSON.
        durable: Whether the files outlast a power cut; False for temporary ones.

    Returns:
        The files in the order of ``names``, then the JSON.

    Raises:
        OptionError: If a name is unknown, or needs what the prediction has not.
        MissingExtraError: If a format needs a package that is not installed.
        InputError: If depth of an affine kind is asked for as a surface.
        OutputError: If the system refuses, or a file is in the way: one that rilievo did not
            write, or did of another prediction or in other colours and ``options.overwrite`` is not
            set.
    """
    stem = Path(stem)
    names = list(dict.fromkeys(names))
    place_one(write_parts(prediction, stem, names, options, run=run), durable=durable)
    return [*_paths(stem, names), sidecar_path(stem)]


def write_parts(
    prediction: Prediction,
    stem: Path,
    names: Sequence[str],
    options: SaveOptions | None = None,
    *,
    run: Mapping[str, Setting] | None = None,
) -> Placement:
    """Write what ``save`` writes, as part files that ``place`` gives their names.

    Raises:
        RilievoError: As ``save``; nothing is left then.
    """
    options = options or SaveOptions()
    check_outputs(names)
    check_parts(prediction, names)
    make_folder(stem.parent)
    paths = _paths(stem, names)
    about = describe(prediction, run=run)
    before = None if options.overwrite else agreeing(stem, about, run)
    replaces = options.overwrite or before is not None
    claim = check_claim(stem, [path.name for path in paths], overwrite=replaces)
    with filling(claim.placement()) as placement:
        json_part = placement.record_part()
        facts = []
        for name, path in zip(names, paths, strict=True):
            job = WriteJob(
                path=placement.part(path),
                file=path.name,
                output=name,
                prediction=prediction,
                options=options,
                about=about,
            )
            said = load(OUTPUTS[name].writer)(job)
            found = sum_of(job.path)
            facts.append(replace(said, bytes=found.bytes, sha256=found.sha256))
        write_sidecar(json_part, merged(about, tuple(facts), before, claim.earlier))
    return placement


def _paths(stem: Path, names: Sequence[str]) -> list[Path]:
    return [stem.with_name(stem.name + OUTPUTS[name].suffix) for name in names]


def check_outputs(names: Sequence[str]) -> None:
    """Refuse names that are not in ``OUTPUTS``, and formats whose extra is not installed.

    Raises:
        OptionError: If a name is unknown, or there is none.
        MissingExtraError: If a format's package is not installed.
    """
    if not names:
        raise OptionError(f"nothing to write is named; known: {', '.join(OUTPUTS)}")
    for name in names:
        if name not in OUTPUTS:
            raise OptionError(f"no output '{name}'; {suggest(name, OUTPUTS)}")
        output = OUTPUTS[name]
        if output.extra and output.package and find_spec(output.package) is None:
            raise MissingExtraError(f"output '{name}'", output.extra)


def check_parts(prediction: Prediction, names: Sequence[str]) -> None:
    """Refuse outputs that this prediction cannot give.

    Raises:
        OptionError: If a part is missing.
        InputError: If a surface is asked for of depth that has an unknown shift.
    """
    for name in names:
        for need in OUTPUTS[name].needs:
            field = "depth_or_none" if need is Need.DEPTH else need
            if getattr(prediction, field) is None:
                raise OptionError(
                    f"output '{name}' needs {need}, which model '{prediction.made_by.model}' "
                    "does not give"
                )
        if Need.CAMERA in OUTPUTS[name].needs and prediction.depth_or_none is not None:
            prediction.depth.depth()


def parts_of(names: Sequence[str]) -> set[Need]:
    """Parts of a prediction that some outputs are made of; the others need not be there."""
    return {part for name in names for part in (*OUTPUTS[name].needs, *OUTPUTS[name].takes)}


def load(place: str) -> Callable[..., Any]:
    """The function ``module:function`` of ``rilievo.io.formats``, imported now."""
    module, function = place.split(":")
    return getattr(import_module(f"rilievo.io.formats.{module}"), function)
