"""Processes whose connections and files are watched, without the rights of an administrator.

``watch.c`` is compiled and loaded into them. Their environment has no variable of CI or pytest,
where telemetry keeps quiet, and a home and a folder for temporary files of their own.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_SOURCE = Path(__file__).with_name("watch.c")
_SOURCES = (Path(__file__).parents[2] / "src", Path(__file__).parents[1])


def compiled(folder: Path) -> Path:
    """The watcher, as a library to be loaded."""
    library = folder / "watch.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-w", "-o", str(library), str(_SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return library


@dataclass(frozen=True)
class Seen:
    """Traces of a process.

    Attributes:
        network: Connections and look-ups of names that it tried.
        written: Files opened for writing outside of its work folder, its cache and the folder for
            temporary files.
        left: Files left in its home, outside of caches, and files and folders in the folder for
            temporary files.
    """

    network: tuple[str, ...]
    written: tuple[str, ...]
    left: tuple[str, ...]

    @property
    def is_silent(self) -> bool:
        """Whether there is nothing to see."""
        return self == Seen((), (), ())


@dataclass(frozen=True)
class Watched:
    """A process that runs under the watcher, and its folders."""

    process: "subprocess.Popen[str]"
    folder: Path

    def seen(self, *parts: slice) -> Seen:
        """Read its traces, after its end: of all that it did, or of parts of its log."""
        said = self.folder / "watch.log"
        log = said.read_bytes() if said.exists() else b""
        lines = b"".join(log[part] for part in parts or [slice(None)]).decode(errors="replace")
        lines = lines.splitlines()
        caches = [self.folder / "home" / ".cache" / name for name in ("matplotlib", "fontconfig")]
        allowed = [self.folder / name for name in ("work", "cache", "temporary")] + caches
        files = {line.removeprefix("write ") for line in lines if line.startswith("write ")}
        temporary = self.folder / "temporary"
        left = (path for folder in (self.folder / "home", temporary) for path in folder.rglob("*"))
        return Seen(
            network=tuple(sorted({line for line in lines if not line.startswith("write ")})),
            written=tuple(sorted(each for each in files if not _is_below(each, allowed))),
            left=tuple(
                sorted(
                    str(path.relative_to(self.folder))
                    for path in left
                    if (path.is_file() or path.parent == temporary)
                    and not _is_below(str(path), caches)
                )
            ),
        )


def _is_below(file: str, folders: list[Path]) -> bool:
    # Devices, and memory that processes share, are no files.
    if file.startswith(("/dev/", "/proc/")):
        return True
    return any(Path(os.path.normpath(file)).is_relative_to(folder) for folder in folders)


def start(library: Path, folder: Path, command: list[str], **variables: str) -> Watched:
    """Start Python with these arguments, in the folder ``work``."""
    for name in ("home", "work", "cache", "temporary"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "temporary"),
        "RILIEVO_CACHE": str(folder / "cache"),
        "PYTHONPATH": os.pathsep.join(map(str, _SOURCES)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "LD_PRELOAD": str(library),
        "WATCH_LOG": str(folder / "watch.log"),
        **variables,
    }
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=folder / "work",
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return Watched(process, folder)
