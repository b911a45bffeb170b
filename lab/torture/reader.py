"""Description of one reader: good files for it, and how it is called."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """One reader of the product and the files that it is tried with.

    Attributes:
        name: Name in tables and on the command line.
        write: Function that writes good files into an empty folder.
        victims: Files to break, one at a time, as patterns of their paths, with their format in
            ``FORMS``.
        read: Function that reads the folder with the product's public functions; raises what they
            raise.
        share: Share of the campaign's inputs, relative to 1 for other readers: less for slow ones.
        seconds: Time after which one input counts as a hang [s].
        mebibytes: Address space that one input may take beyond what is in use [MiB].
        places: Whether these files are also replaced by links, pipes and folders.
    """

    name: str
    write: Callable[[Path], object]
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
