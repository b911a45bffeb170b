"""Records of teachers beside their shards: who labelled the frames, under which licence."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import InputError
from rilievo.io.files.atomic import replacing
from rilievo.io.files.limits import read_text
from rilievo.io.files.names import printable
from rilievo.io.json_record import InvalidRecordError, from_json, to_json
from rilievo.models.base import Model

TEACHER = "teacher.json"
"""File beside the shards of one teacher."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher:
    """A model whose answers are the labels of shards.

    Attributes:
        model: Name of the model.
        licence: Licence of its weights.
        commercial: Whether that allows commercial use; None if unknown.
        weights_sha256: Hash of its weights.
    """

    model: str
    licence: str
    commercial: bool | None = None
    weights_sha256: str

    def __str__(self) -> str:
        """Name and licence in a few words."""
        loud = ", NON-COMMERCIAL" if self.commercial is False else ""
        return f"{self.model} ({self.licence}{loud})"


def write_teacher(model: Model, folder: Path) -> None:
    """Write the record of a teacher beside its shards."""
    card = model.card
    teacher = Teacher(
        model=card.name,
        licence=card.licence,
        commercial=card.commercial,
        weights_sha256=model.weights_sha256,
    )
    with replacing(folder / TEACHER) as part:
        part.write_text(to_json(teacher, indent=1) + "\n", encoding="utf-8")


def read_teachers(folder: Path) -> tuple[Teacher, ...]:
    """Read the records of all teachers below a folder of shards, each teacher once."""
    found: dict[str, Teacher] = {}
    for path in sorted(folder.rglob(TEACHER)):
        try:
            teacher = from_json(Teacher, read_text(path))
        except InvalidRecordError as error:
            raise InputError(
                f"{printable(path)}: not the record of a teacher ({error}); write the lessons anew"
            ) from error
        found.setdefault(str(teacher), teacher)
    return tuple(found.values())


def described(teachers: Sequence[Teacher]) -> str:
    """Teachers with their licences, for a card; empty without any."""
    return ", ".join(map(printable, map(str, teachers)))
