"""Files to take home: what ``rilievo predict`` writes, made by the same code.

The app removes them soon, so they are not synced to the disk.
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
    """One format that the page lists.

    Attributes:
        output: In ``OUTPUTS``.
        file: What it will be called.
        summary: One line.
        refusal: Why it cannot be had, in words; None where it can.
    """

    output: str
    file: str
    summary: str
    refusal: str | None


def offers(prediction: Prediction, stem: str) -> list[Offer]:
    """Every format, those that this prediction cannot give with the reason."""
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
    """Write one format and give its path.

    Raises:
        RilievoError: If the prediction cannot give it.
    """
    path, _ = save(prediction, folder / output / stem, [output], options, durable=False)
    return path


def write_zip(prediction: Prediction, folder: Path, stem: str, options: SaveOptions) -> Path:
    """Write all that the prediction can give, and pack it with the JSON that explains it."""
    names = [offer.output for offer in offers(prediction, stem) if offer.refusal is None]
    paths = save(prediction, folder / "all" / stem, names, options, durable=False)
    target = folder / f"{stem}.zip"
    # Only the JSON is worth compressing; pictures are so already, and numbers hardly shrink.
    with (
        replacing(target, durable=False) as part,
        zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as packed,
    ):
        for path in paths:
            packed.write(path, path.name)
    remove(paths)
    return target


def remove(paths: Sequence[Path]) -> None:
    """Delete files that are packed; the zip has them."""
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
