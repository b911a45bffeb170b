"""``python -m lab.making teacher``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rilievo.cli.parsing import parse
from rilievo.cli.streams import print_to_stderr, printing
from rilievo.errors import OptionError
from rilievo.io.files.names import printable
from rilievo.options.run_options import TrustOptions
from rilievo.schema.fields import option


@dataclass(frozen=True, kw_only=True)
class TeacherArguments(TrustOptions):
    """Options of ``python -m lab.making teacher``."""

    model: Annotated[str, option(positional=True, metavar="MODEL")]
    """Model that teaches, as for 'predict --model'."""
    photos: Annotated[Path, option(positional=True, metavar="FOLDER")]
    """Folder of photographs; those in its subfolders are used too."""
    output: Annotated[Path, option(aliases=("-o",), metavar="FOLDER")]
    """Folder to write the shards to; it holds none yet."""
    size: Annotated[tuple[int, int], option(metavar="HEIGHT,WIDTH")] = (192, 256)
    """Height and width of a frame [px]."""
    flip: bool = False
    """Average with the prediction for the mirror image."""

    def __post_init__(self) -> None:
        if min(self.size) < 1:
            raise OptionError(f"a size is height and width, got {self.size}")


def main(arguments: Sequence[str]) -> int:
    """Write a model's answers for photographs as shards; returns 0 when some were written."""
    given = parse(
        TeacherArguments,
        arguments,
        prog="python -m lab.making teacher",
        description="Write a model's answers for photographs as shards to train on.",
        examples=(
            "python -m lab.making teacher rilievo/base photos/ --flip -o lessons",
            "python -m lab.making teacher depth-anything-v2/small photos/ -o lessons",
        ),
    )
    from lab.making.distil.teacher import teach

    taken, failures = teach(
        given.model,
        given.photos,
        given.output,
        size=given.size,
        flip=given.flip,
        trust_code=given.trust_code,
    )
    for failure in failures:
        print_to_stderr(str(failure))
    with printing():
        print(f"{printable(given.output)}: {taken} photographs, {len(failures)} skipped")
    return 0
