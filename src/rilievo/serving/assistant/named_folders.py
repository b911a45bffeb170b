"""The folders whose photographs an assistant may read, and into which it may write."""

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
_MAX_LISTED_NAMES = 12
_MAX_NAME_LETTERS = 60
_MAX_SCANNED_FILES = 2000


class NamedFolders:
    """The folders that the user allows the assistant to use.

    Paths are resolved before they are compared, so that no symbolic link leads out of the folders.
    """

    def __init__(self, folders: Sequence[Path], output: Path | None = None) -> None:
        """Resolve the folders.

        Args:
            folders: Folders with photographs.
            output: Folder for results, inside one of the folders; by default ``rilievo-output``
                in the folder of each photograph.

        Raises:
            OptionError: If a folder does not exist, or ``output`` is outside of all folders.
        """
        for folder in folders:
            if not folder.expanduser().is_dir():
                raise OptionError(
                    option="folder", problem=f"{printable(folder)}: there is no folder at this path"
                )
        resolved = [folder.expanduser().resolve() for folder in folders]
        self.folders = tuple(dict.fromkeys(resolved))
        self._output = None if output is None else output.expanduser()
        if self._output is not None and self._containing_folder(self._output) is None:
            raise OptionError(
                option="output",
                problem=(
                    f"{printable(self._output)} is outside the folders that this server may write "
                    f"to ({self._folder_names}); choose a folder inside one of them"
                ),
            )

    def resolve_photograph(self, text: str) -> Path:
        """Find the photograph that a path or a file URI names, and return its resolved path.

        Raises:
            InputError: If it is outside of the folders, or not a regular file.
            MissingFileError: If it does not exist.
        """
        name = quoted(text)
        candidates = self._candidate_paths(text)
        allowed = [path for path in candidates if self._containing_folder(path) is not None]
        if not allowed:
            raise InputError(
                f"photo {name} is outside the folders that this server may read "
                f"({self._folder_names}); give a file inside one of them"
            )
        for candidate in allowed:
            resolved = candidate.resolve()
            if not exists(resolved):
                continue
            if resolved.is_dir():
                raise InputError(f"photo {name} is a folder; {_photograph_list_text([resolved])}")
            with quoting_name_in_errors(resolved):
                check_regular(resolved)
            return resolved
        raise MissingFileError(
            f"no photo {name} in {self._folder_names}; {_photograph_list_text(self.folders)}"
        )

    def output_stem(self, photograph: Path) -> Path:
        """Path, without a suffix, for the results of a photograph, inside the named folders."""
        folder = self._output
        if folder is None:
            # A pasted picture is in none of the folders, so its results go to the first one.
            parent = self._containing_folder(photograph) or self.folders[0]
            folder = parent / "rilievo-output"
        if self._containing_folder(folder) is None:
            raise InputError(
                f"{printable(folder)} links to a place outside the folders that this server may "
                "write to: remove the link"
            )
        return folder.resolve() / photograph.stem

    @property
    def _folder_names(self) -> str:
        return ", ".join(map(printable, self.folders))

    def _candidate_paths(self, path_or_url: str) -> list[Path]:
        """Absolute paths that a text may mean. A relative path may be in any of the folders."""
        quoted_text = quoted(path_or_url)
        path_text = path_or_url
        if path_or_url.startswith("file:"):
            path_text = url2pathname(unquote(urlsplit(path_or_url).path))
        elif "://" in path_or_url:
            raise InputError(
                f"photo {quoted_text}: this server does not download photographs; give a file in "
                f"{self._folder_names}"
            )
        if not path_text or "\0" in path_text:
            raise InputError(
                f"photo {quoted_text} is not a file path; give the path of a photograph in "
                f"{self._folder_names}"
            )
        path = Path(os.path.expanduser(path_text))
        if path.is_absolute():
            return [path]
        return [folder / path for folder in self.folders]

    def _containing_folder(self, path: Path) -> Path | None:
        """The named folder that contains a path, or None if it is outside of all."""
        try:
            resolved = path.resolve()
        except (OSError, RuntimeError, ValueError):  # a loop of links, or an invalid name
            return None
        return next((folder for folder in self.folders if resolved.is_relative_to(folder)), None)


def _photograph_list_text(folders: Sequence[Path]) -> str:
    """Hint that lists photographs in folders, for a message about a wrong name."""
    names = []
    for folder in folders:
        names += islice(_quoted_photograph_names(folder), _MAX_LISTED_NAMES + 1)
    if not names:
        return "no photographs found"
    more = ", ..." if len(names) > _MAX_LISTED_NAMES else ""
    return f"available photographs: {', '.join(names[:_MAX_LISTED_NAMES])}{more}"


def quoted(name: str) -> str:
    """Shorten and quote a name, because others may have chosen it to mislead the assistant."""
    escaped = shortened(name, _MAX_NAME_LETTERS).replace("'", "\\'")
    return f"'{escaped}'"


@contextmanager
def quoting_name_in_errors(photograph: Path) -> Iterator[None]:
    """While the block runs, an ``InputError`` has the photograph's quoted name, not its path."""
    try:
        yield
    except InputError as error:
        if str(error.path) in (str(photograph), printable(photograph)):
            error.path = f"photo {quoted(photograph.name)}"
        raise


def _quoted_photograph_names(folder: Path) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in islice(entries, _MAX_SCANNED_FILES))
    except OSError:
        return
    for name in names:
        if Path(name).suffix.lower() in _SUFFIXES:
            yield quoted(name)
