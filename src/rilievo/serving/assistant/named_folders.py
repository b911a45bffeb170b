"""Folders whose files an assistant names."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from rilievo.errors import InputError, MissingFileError, OptionError
from rilievo.io.files.limits import check_regular, exists
from rilievo.io.files.names import printable, shortened

_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".heic", ".heif", ".tif", ".tiff", ".webp", ".bmp", ".avif"}
)
_LISTED = 12
_LONGEST = 60
_VISITED = 2000


class NamedFolders:
    """Folders that the user named; paths are resolved, with links, before they are compared."""

    def __init__(self, folders: Sequence[Path], output: Path | None = None) -> None:
        """Resolve the folders; ``output`` is inside one, by default ``rilievo-output``.

        Raises:
            OptionError: If a folder does not exist, or the one for output is outside of all.
        """
        for folder in folders:
            if not folder.expanduser().is_dir():
                raise OptionError(
                    option="folder",
                    problem=f"{printable(folder)}: there is no such folder",
                )
        self.folders = tuple(dict.fromkeys(place.expanduser().resolve() for place in folders))
        self._output = None if output is None else output.expanduser()
        if self._output is not None and self._folder_around(self._output) is None:
            raise OptionError(
                option="output",
                problem=(
                    f"{printable(self._output)} is outside of the named folders, "
                    f"{self._folder_names}"
                ),
            )

    def resolve_photograph(self, text: str) -> Path:
        """Photograph of a path or file URI.

        Raises:
            InputError: If it is outside of the folders, or no regular file.
        """
        name = quoted(text)
        candidates = [*self._candidate_paths(text, name)]
        inside = [
            candidate for candidate in candidates if self._folder_around(candidate) is not None
        ]
        if not inside:
            raise InputError(
                f"photo {name} is outside of the folders that this server may read, "
                f"{self._folder_names}"
            )
        for candidate in inside:
            resolved = candidate.resolve()
            if not exists(resolved):
                continue
            if resolved.is_dir():
                raise InputError(
                    f"photo {name} is a folder; {self._photograph_list_text(resolved)}"
                )
            with quoting_name_in_errors(resolved):
                check_regular(resolved)
            return resolved
        raise MissingFileError(
            f"no photo {name} in {self._folder_names}; {self._photograph_list_text(None)}"
        )

    def output_stem(self, photograph: Path) -> Path:
        """Path without suffix for results of a photograph.

        Raises:
            InputError: If a link leads out of the folders.
        """
        home = self._folder_around(photograph) or self.folders[0]  # a pasted one lies in none
        folder = (home / "rilievo-output") if self._output is None else self._output
        if self._folder_around(folder) is None:
            raise InputError(
                f"{printable(folder)} leads out of the folders that this server may write to: "
                "remove the link"
            )
        return folder.resolve() / photograph.stem

    @property
    def _folder_names(self) -> str:
        return ", ".join(map(printable, self.folders))

    def _candidate_paths(self, text: str, name: str) -> Iterator[Path]:
        if text.startswith("file:"):
            text = url2pathname(unquote(urlsplit(text).path))
        elif "://" in text:
            raise InputError(
                f"photo {name}: this server fetches nothing; name a file below {self._folder_names}"
            )
        if not text or "\0" in text:
            raise InputError(f"photo {name} is no path of a file")
        path = Path(os.path.expanduser(text))
        yield from ([path] if path.is_absolute() else [folder / path for folder in self.folders])

    def _folder_around(self, path: Path) -> Path | None:
        try:
            resolved = path.resolve()
        except (OSError, RuntimeError, ValueError):  # a circle of links, a name no system takes
            return None
        return next((folder for folder in self.folders if resolved.is_relative_to(folder)), None)

    def _photograph_list_text(self, folder: Path | None) -> str:
        places = self.folders if folder is None else (folder,)
        names = [
            name
            for place in places
            for name in islice(_quoted_photograph_names(place), _LISTED + 1)
        ]
        if not names:
            return "there is no photograph"
        more = ", ..." if len(names) > _LISTED else ""
        return f"names of the photographs there: {', '.join(names[:_LISTED])}{more}"


def quoted(name: str) -> str:
    """Name, shortened and in quotes, since others may have chosen it."""
    escaped = shortened(name, _LONGEST).replace("'", "\\'")
    return f"'{escaped}'"


@contextmanager
def quoting_name_in_errors(photograph: Path) -> Iterator[None]:
    """Replace the path in errors by the quoted name."""
    try:
        yield
    except InputError as error:
        if str(error.path) in (str(photograph), printable(photograph)):
            error.path = f"photo {quoted(photograph.name)}"
        raise


def _quoted_photograph_names(folder: Path) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in islice(entries, _VISITED))
    except OSError:
        return
    for name in names:
        if Path(name).suffix.lower() in _SUFFIXES:
            yield quoted(name)
