"""``save``, which writes a prediction in some of the formats of the table."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from rilievo.errors import MissingExtraError, OptionError, suggest
from rilievo.io.atomic import make_folder
from rilievo.io.merging import agreeing, merged
from rilievo.io.output_table import OUTPUTS, Need, load
from rilievo.io.ownership import check_claim
from rilievo.io.placement import Placement, filling, place_one
from rilievo.io.sidecar import describe, sidecar_path, write_sidecar
from rilievo.io.sums import sum_of
from rilievo.io.writing import SaveOptions, WriteJob
from rilievo.types import Prediction, Setting


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
            if not prediction.has("depth_or_none" if need is Need.DEPTH else need):
                raise OptionError(
                    f"output '{name}' needs {need}, which model '{prediction.made_by.model}' "
                    "does not give"
                )
        if Need.CAMERA in OUTPUTS[name].needs and prediction.depth_or_none is not None:
            prediction.depth.depth()


def parts_of(names: Sequence[str]) -> set[Need]:
    """Parts of a prediction that some outputs are made of; the others need not be there."""
    return {part for name in names for part in (*OUTPUTS[name].needs, *OUTPUTS[name].takes)}
