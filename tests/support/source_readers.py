"""Functions of ``src`` that open files, read from the source text.

An opening is a call that opens a path for reading: ``open``, ``Path.read_text``, ``av.open``,
``InferenceSession``. What opens in C raises no audit event, so only the text shows it. An opening
counts for the innermost public function around it: an opening in ``_private`` counts for the
functions of the same module that use ``_private``, and one in a helper that only opens what it is
given, such as ``read_text``, for the callers of the helper.
"""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import rilievo

SOURCE = Path(rilievo.__file__).parent

HELPERS = frozenset(
    {
        "rilievo.io.files.limits.read_text",
        "rilievo.io.exr_channels.ExrChannels",
        "rilievo.io.files.web.open_url",
        "rilievo.io.files.archives.opened_npz",
        "rilievo.io.files.archives.read_npz_arrays",
        "rilievo.io.training_files.read_features_header",
        "rilievo.data.datasets.text_files.text_lines",
        "rilievo.io.outputs.writing.open_stored_image",
        "rilievo.training.networks.torch_files.load_torch_file",
    }
)
"""Functions that open any path for their callers: the callers are the readers."""

_OPENERS = frozenset(
    {
        *(name.rpartition(".")[2] for name in HELPERS),
        *("read_text", "read_bytes", "urlopen", "_http.send", "open_code"),
        *("open_container", "service.open_video", "_service.open_video"),
        *("np.load", "np.fromfile", "np.loadtxt", "np.genfromtxt", "np.memmap"),
        *("h5py.File", "loadmat", "OpenEXR.File", "ZipFile", "TarFile", "mmap.mmap", "plugin"),
        *("InferenceSession", "read_model", "compile_model", "onnx.load", "onnx.load_model"),
        *("torch.load", "torch.jit.load", "load_file", "safe_open", "from_pretrained"),
        *("hf_hub_download", "snapshot_download", "load_dataset"),
        *("cv2.imread", "VideoCapture", "imread", "ElementTree.parse", "spec_from_file_location"),
        *("run_path", "SourceFileLoader", "copyfile", "copy2", "shutil.copy", "copytree"),
        *("configparser.read", "csv.reader", "sqlite3.connect", "fileinput.input"),
    }
)
_OWN = ("__file__", "_HERE", "_FOLDER", "files('rilievo")
"""Words in calls that open the package's own files."""
_WRITES = frozenset("wxa")
_MODE = re.compile(r"[rwxa][bt+]{0,2}")


@dataclass(slots=True)
class _Function:
    """A function or method of a module: whether it opens, and which names it uses."""

    opens: list[int] = field(default_factory=list)
    uses: set[str] = field(default_factory=set)


@cache
def openers_of(path: Path) -> Mapping[str, Sequence[int]]:
    """Names of all functions of a module that open files themselves, with the lines."""
    return {name: each.opens for name, each in _functions(path).items() if each.opens}


@cache
def readers_of(path: Path) -> Mapping[str, frozenset[str]]:
    """Public functions by the function that opens: itself, or those that use it."""
    functions = _functions(path)
    return {name: frozenset(_public(name, functions)) for name in openers_of(path)}


def module_name(path: Path) -> str:
    """Name under which a file of the package is imported."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def qualified(path: Path, name: str) -> str:
    """Name of a function with that of its module."""
    return f"{module_name(path)}.{name}"


def all_readers() -> Mapping[str, str]:
    """Every reader of the package, with the place of an opening."""
    found: dict[str, str] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        for name, readers in readers_of(path).items():
            if qualified(path, name) in HELPERS:
                continue
            for reader in readers:
                place = f"{path.relative_to(SOURCE)}:{openers_of(path)[name][0]}"
                found.setdefault(qualified(path, reader), place)
    return found


def _public(name: str, functions: Mapping[str, _Function]) -> Iterator[str]:
    """The function itself if it is public, else those that use it, at any distance."""
    todo, done = [name], {name}
    found = False
    while todo:
        at = todo.pop()
        if _is_public(at):
            found = True
            yield at
            continue
        for other, each in functions.items():
            if other not in done and at.split(".")[_private_part(at)] in each.uses:
                done.add(other)
                todo.append(other)
    if not found:
        yield name


def _is_public(name: str) -> bool:
    return name != "<module>" and all(
        not part.startswith("_") or part.endswith("__") for part in name.split(".")
    )


def _private_part(name: str) -> int:
    """Place of the part of a name by which others of the module use it."""
    parts = name.split(".")
    return next(i for i, part in enumerate(parts) if part.startswith("_") or part == "<module>")


def _functions(path: Path) -> dict[str, _Function]:
    found: dict[str, _Function] = {}
    _visit(ast.parse(path.read_text(encoding="utf-8")), "", found)
    return found


def _visit(node: ast.AST, prefix: str, found: dict[str, _Function]) -> None:
    """Go through the statements of a module or class; what is inside of a function is its own."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            _visit(child, f"{prefix}{child.name}.", found)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            _note(child, found.setdefault(f"{prefix}{child.name}", _Function()))
        else:
            # A table of functions, `_READERS = {".npy": _npy}`, is used by its own name.
            name = _assigned(child) if not prefix else None
            _note(child, found.setdefault(name or f"{prefix}<module>", _Function()))


def _assigned(node: ast.AST) -> str | None:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    match targets:
        case [ast.Name(id=name)]:
            return name
    return None


def _note(node: ast.AST, function: _Function) -> None:
    for each in ast.walk(node):
        if isinstance(each, ast.Name):
            function.uses.add(each.id)
        elif isinstance(each, ast.Attribute):
            function.uses.add(each.attr)
        elif isinstance(each, ast.Call) and _opens(each):
            function.opens.append(each.lineno)


def _opens(call: ast.Call) -> bool:
    called = ast.unparse(call.func)
    if any(word in ast.unparse(call) for word in _OWN) or called == "webbrowser.open":
        return False
    words = called.split(".")
    if words[-1] in ("open", "ZipFile"):
        return not _WRITES & set(_mode(call)) and "O_CREAT" not in ast.unparse(call)
    return words[-1] in _OPENERS or ".".join(words[-2:]) in _OPENERS


def _mode(call: ast.Call) -> str:
    """The mode that a call states as a text; empty if it states none."""
    given = [*call.args[:2], *(each.value for each in call.keywords if each.arg == "mode")]
    texts = [str(each.value) for each in given if isinstance(each, ast.Constant)]
    return next((text for text in texts if _MODE.fullmatch(text)), "")
