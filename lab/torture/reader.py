"""Description of one reader: good files for it, and how it is called."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath


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


SAMPLES: Mapping[str, Mapping[str, str]] = tomllib.loads(
    Path(__file__).with_name("readers").joinpath("samples.toml").read_text("utf-8")
)
"""Good files of readers of texts: content by file, by reader."""
FORM_OF: Mapping[str, str] = {
    **{
        ".csv": "text",
        ".pfm": "text",
        ".pgm": "text",
        ".ppm": "text",
        ".txt": "text",
        ".yml": "text",
    },
    **{".jpg": "jpeg", ".tif": "tiff", ".tiff": "tiff", ".pth": "pt", ".gz": "gzip-pickle"},
    **{".avif": "boxes", ".heic": "boxes", ".mat": "mat5"},
    **dict.fromkeys((".bin", ".cam", ".frames", ".pkl", ".sums"), "bytes"),
}
"""Format of files whose suffix is not its name."""


def row(
    name: str,
    write: Callable[[Path], object] | Mapping[str, str],
    victims: str | Mapping[str, str],
    read: Callable[[Path], object],
    share: float = 1.0,
    *,
    places: bool = True,
) -> Reader:
    """A reader in one line.

    Args:
        name: Name of the reader.
        write: Function that writes good files, or texts by file.
        victims: Patterns of files, whose suffix tells the format unless it follows a colon.
        read: Function that reads.
        share: Share of the inputs.
        places: Whether the files are also replaced by links, pipes and folders.
    """
    if isinstance(victims, str):
        named = (part.partition(":") for part in victims.split())
        victims = {file: form or form_of(file) for file, _, form in named}
    writer = write if callable(write) else partial(write_texts, write)
    return Reader(name=name, write=writer, victims=victims, read=read, share=share, places=places)


def sample(
    name: str,
    read: Callable[[Path], object],
    share: float = 1.0,
    *,
    victims: str = "",
    places: bool = True,
) -> Reader:
    """A reader of the texts that ``samples.toml`` has by its name; all are broken by default."""
    texts = SAMPLES[name]
    return row(name, texts, victims or " ".join(texts), read, share, places=places)


def sample_file(name: str, read: Callable[[Path], object], share: float = 1.0) -> Reader:
    """A reader of the one text that ``samples.toml`` has by its name."""
    [file] = SAMPLES[name]
    return sample(name, lambda folder: read(folder / file), share)


def form_of(file: str) -> str:
    """Format of a file, by its suffix; text where it has none."""
    suffix = PurePath(file).suffix
    return FORM_OF.get(suffix, suffix[1:]) or "text"


def write_texts(texts: Mapping[str, str], folder: Path) -> None:
    """Text files in a folder."""
    for file, text in texts.items():
        write_text(folder / file, text)


def write_text(path: Path, text: str) -> None:
    """A text file, in folders that are made for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
