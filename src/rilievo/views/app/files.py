"""Files for download, written by the code of ``rilievo predict``.

The app deletes them soon, so they are not synced to the disk.
"""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rilievo.errors import InputError, OptionError
from rilievo.io.atomic import replacing
from rilievo.io.output_table import OUTPUTS
from rilievo.io.outputs import check_parts, save
from rilievo.io.writing import SaveOptions
from rilievo.types import Prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One format in the page's list.

    Attributes:
        output: Name in ``OUTPUTS``.
        file: Name of the file.
        summary: One-line description.
        refusal: Reason why it is not available; None if it is.
    """

    output: str
    file: str
    summary: str
    refusal: str | None


def offers(prediction: Prediction, stem: str) -> list[Offer]:
    """List every format; those that this prediction cannot give have a reason."""
    return [
        Offer(
            output=name,
            file=stem + output.suffix,
            summary=output.summary,
            refusal=_refusal(prediction, name),
        )
        for name, output in OUTPUTS.items()
    ]


def write_file(
    prediction: Prediction, folder: Path, stem: str, output: str, options: SaveOptions
) -> Path:
    """Write one format and return its path.

    Raises:
        RilievoError: If the prediction lacks a part that the format needs.
    """
    path, _ = save(prediction, folder / output / stem, [output], options, durable=False)
    return path


def write_zip(prediction: Prediction, folder: Path, stem: str, options: SaveOptions) -> Path:
    """Write all formats that the prediction can give, and pack them with their JSON."""
    names = [offer.output for offer in offers(prediction, stem) if offer.refusal is None]
    paths = save(prediction, folder / "all" / stem, names, options, durable=False)
    target = folder / f"{stem}.zip"
    # Only the JSON is compressed: pictures are already, and arrays hardly shrink.
    with (
        replacing(target, durable=False) as part,
        zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as packed,
    ):
        for path in paths:
            packed.write(path, path.name)
    remove(paths)
    return target


def remove(paths: Sequence[Path]) -> None:
    """Delete files that have been packed."""
    for path in paths:
        path.unlink(missing_ok=True)


def _refusal(prediction: Prediction, name: str) -> str | None:
    output = OUTPUTS[name]
    if output.package is not None and find_spec(output.package) is None:
        return f"the server lacks the extra '{output.extra}'"
    try:
        check_parts(prediction, [name])
    except OptionError as error:
        return str(error).partition(" needs ")[2].replace(", which", ", which the")
    except InputError:
        return "surfaces need two known distances: this depth has an unknown shift"
    return None
