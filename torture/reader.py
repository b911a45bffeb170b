"""What the campaign knows of one reader: good files for it, and how it is called."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """One reader of the product and the files that it is tried with.

    Attributes:
        name: In tables and on the command line.
        write: Writes good files into an empty folder.
        victims: Which of these files are broken, one at a time, as patterns of their paths, and
            their form in ``FORMS``.
        read: Reads the folder by the product's public functions; raises what they raise.
        share: Of the campaign's inputs, against 1 of the others: less where one is slow.
        seconds: That one input may take before it counts as a hang.
        mebibytes: Of address space that one input may take beyond what is taken already.
        places: Whether victims are also tried as links, pipes and folders.
    """

    name: str
    write: Callable[[Path], None]
    victims: Mapping[str, str]
    read: Callable[[Path], object]
    share: float = 1.0
    seconds: float = 180.0
    mebibytes: int = 2048
    places: bool = True


def write_text(path: Path, text: str) -> None:
    """A text file, in folders that are made for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
