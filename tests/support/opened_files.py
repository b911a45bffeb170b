"""Record of the functions of ``src`` that open a file or an address while the tests run.

Python tells an audit hook of every file that it opens. Those of the interpreter, of packages and of
this checkout are nobody's input; for every other file that is opened for reading, the innermost
function of ``src`` is kept. What opens in C, such as ``av.open``, is not told: `source_readers`
finds it in the source text.
"""

import importlib.metadata
import os
import sys
import tempfile
from functools import cache
from pathlib import Path
from types import CodeType

from support.reader_table import row_of
from support.source_readers import HELPERS, SOURCE, qualified, readers_of

_SOURCE = str(SOURCE) + os.sep
_BESIDE = tuple(str(Path(__file__).parents[2] / name) + os.sep for name in ("tests", "lab"))
_NOT_READ = os.O_WRONLY | os.O_CREAT | getattr(os, "O_DIRECTORY", 0)
_OWN = tuple(
    {
        # Of a checkout, or of the package where it is installed without one.
        *(str(Path(__file__).parents[2]) + os.sep, _SOURCE),
        *("/dev/", "/proc/", "/sys/", "/etc/", "/usr/"),
        # Caches of other packages, such as matplotlib's list of fonts, and temporary files.
        *(str(Path.home() / each) + os.sep for each in (".cache", ".config")),
        os.path.join(tempfile.gettempdir(), tempfile.gettempprefix()),
        *(f"{folder}{os.sep}" for folder in (sys.prefix, sys.base_prefix)),
        *(f"{each}{os.sep}" for each in sys.path if each.endswith("-packages")),
    }
)
_CODE = (".py", ".pyc")
_IMPORTS = "<frozen importlib._bootstrap>"
THROUGH_LIBRARIES = frozenset(
    {
        "rilievo.predicting.summary.Tally.trace",  # source lines of a traceback
        # Records of installed packages, sockets, locks of own folders, copies that it just wrote.
        *(
            "rilievo.extensions.foreign_code.load_entry_point",
            "rilievo.extensions.foreign_code.entry_point_names",
        ),
        *(
            "rilievo.models.catalogue.download._fetch_file",
            "rilievo.cluster.remote_files.Remote.upload",
        ),
        *(
            "rilievo.cluster.ray_tasks._check_reachable",
            "rilievo.evaluation.views.fiftyone.import_fiftyone",
        ),
        *(
            f"rilievo.serving.server.request_files.{e}"
            for e in ("_belongs_to_dead_server", "server_folder", "remove_dead_folders")
        ),
        *(
            f"rilievo.models.onnx_files.quantisation.{each}"
            for each in ("_check_quantised", "quantise", "quantise_static")
        ),
    }
)
"""Functions that open something through a library, no file of a user among it."""
_seen: dict[CodeType, str] = {}
"""What each function opened first."""
_checked: set[CodeType] = set()


def start() -> None:
    """Record from now on; an audit hook stays until the process ends."""
    sys.addaudithook(_hook)


def unlisted() -> dict[str, str]:
    """Functions without a row that opened something for the first time since the last call.

    Returns:
        What each of them opened.
    """
    if len(_seen) == len(_checked):
        return {}
    codes = _seen.keys() - _checked
    _checked.update(codes)
    return {
        name: _seen[code]
        for code in codes
        for name in readers_around(code)
        if name.partition(" ")[0] not in THROUGH_LIBRARIES
        and row_of(name.partition(" ")[0]) is None
    }


def forget() -> None:
    """Check every function anew that opens something from now on."""
    _seen.clear()
    _checked.clear()


def readers_around(code: CodeType) -> set[str]:
    """Public functions for which a function that opened something counts.

    A function whose source text shows no opening is named itself.
    """
    path, name = Path(code.co_filename), function_of(code)
    known = readers_of(path).get(name, {f"{name} (of an opening that source_readers misses)"})
    return {qualified(path, each) for each in known}


def function_of(code: CodeType) -> str:
    """Name of the function or method around a piece of code."""
    name = code.co_qualname.partition(".<locals>")[0]
    return "<module>" if name.startswith("<") else name


def _hook(event: str, facts: tuple[object, ...]) -> None:
    name = str(facts[1:])
    if event == "open":
        path, _, flags = facts
        if (
            not isinstance(flags, int)
            or flags & _NOT_READ
            or not isinstance(path, str | os.PathLike)
        ):
            return
        name = os.fspath(path)
        if name.startswith(_OWN) or name.endswith(_CODE):
            return
    elif event != "socket.connect":
        return
    frame = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        file = code.co_filename
        if file.startswith(_SOURCE):
            if not _is_helper(code):
                _seen.setdefault(code, name)
                return
        elif file.startswith(_BESIDE) or "rmtree" in code.co_name:
            return  # code of the tests or the lab, or the removal of a folder, which opens it
        elif file in (_IMPORTS, importlib.metadata.__file__):
            # What a package opens as it is imported, by whichever test needs it first, and records
            # of packages in all folders that modules are imported from.
            return
        frame = frame.f_back


@cache
def _is_helper(code: CodeType) -> bool:
    return qualified(Path(code.co_filename), code.co_qualname) in HELPERS
