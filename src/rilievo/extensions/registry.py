"""Registry of objects by name: those of the subpackages, and those of other packages.

Core modules import no subpackage; they find its objects by the names in these tables. Other
packages extend rilievo with objects named ``package.module:NAME``, ``path/to/file.py:NAME``, or in
the entry-point groups ``rilievo.models``, ``.datasets``, ``.benchmarks``, ``.metrics``,
``.outputs``, ``.commands``, ``.finders`` and ``.loaders``.
"""

import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Generic, TypeVar

from rilievo.errors import OptionError, UntrustedCodeError, suggest
from rilievo.errors.messages import literal, one_line
from rilievo.other_libraries import HintedAttributes

COMMANDS: Mapping[str, str] = {
    "export": "rilievo.training.commands.export:main",
    "datasets": "rilievo.data.commands.datasets:main",
    "check": "rilievo.data.commands.check:main",
    "train": "rilievo.training.commands.train:main",
    "probe": "rilievo.training.commands.probe:main",
    "evaluate": "rilievo.evaluation.commands.evaluate:main",
    "benchmarks": "rilievo.evaluation.commands.benchmarks:main",
    "compare": "rilievo.evaluation.commands.compare:main",
    "trajectory": "rilievo.data.commands.trajectory:main",
    "fuse": "rilievo.data.commands.fuse:main",
    "app": "rilievo.serving.commands.app:main",
    "page": "rilievo.serving.commands.page:main",
    "serve": "rilievo.serving.commands.serve:main",
    "mcp": "rilievo.serving.commands.mcp:main",
    "view": "rilievo.evaluation.commands.view:main",
    "report": "rilievo.evaluation.commands.report:main",
}

FINDERS: Mapping[str, str] = {
    "trained": "rilievo.training.adapters.trained_cards:find_trained",
}

LOADERS: Mapping[str, str] = {
    "transformers": "rilievo.training.adapters.transformers_models:load",
    "diffusers": "rilievo.training.adapters.saved_pipelines:load",
    "probe-run": "rilievo.training.adapters.run_loaders:load_probe",
    "video-run": "rilievo.training.adapters.run_loaders:load_video",
    "tuned-run": "rilievo.training.adapters.run_loaders:load_tuned",
    "monodepth2": "rilievo.training.adapters.monodepth2:load",
}

FUNCTIONS: Mapping[str, str] = {
    "BENCHMARKS": "rilievo.evaluation.benchmarks:BENCHMARKS",
    "DATASETS": "rilievo.data.datasets:DATASETS",
    "EvaluateOptions": "rilievo.evaluation.options:EvaluateOptions",
    "ExportOptions": "rilievo.training.conversion.onnx_export:ExportOptions",
    "FuseOptions": "rilievo.data.fuse.fuse_options:FuseOptions",
    "SweepOptions": "rilievo.training.sweep.sweep_config:SweepOptions",
    "evaluate": "rilievo.evaluation.evaluation_run:evaluate",
    "export_model": "rilievo.training.conversion.onnx_export:export_model",
    "fine_tune": "rilievo.training.tuning.tuning_run:fine_tune",
    "fuse_clip": "rilievo.data.fuse.fuse_clip:fuse_clip",
    "open_dataset": "rilievo.data.datasets:open_dataset",
    "sweep_probes": "rilievo.training.sweep.sweep_run:sweep_probes",
    "train_probe": "rilievo.training.probe.probe_run:train_probe",
}

SERVICES: Mapping[str, str] = {
    "addresses": "rilievo.cluster.staging:Addresses",
    "ray-pool": "rilievo.cluster.ray_tasks:Pool",
    "work-on-ray": "rilievo.cluster.ray_tasks:work_on_ray",
    "predicts-motion": "rilievo.training.adapters.run_models:predicts_motion",
    "load-motion": "rilievo.training.adapters.trained:load_motion",
    "live-page": "rilievo.serving.live_page:LivePage",
    "probe-scoring": "rilievo.evaluation.probe_scores:ProbeScoring",
    "probe-comparison": "rilievo.evaluation.probe_scores:compare_probes",
}


T = TypeVar("T")

TRUST = "RILIEVO_TRUST_CODE"
"""Environment variable of trusted code, one place a line."""

_PLACE = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*|.+\.py:[A-Za-z_]\w*"
_TOPS: set[str] = set()


class CodePlace(str):
    """Place of somebody's object: ``package.module:NAME`` or ``path/to/file.py:NAME``."""

    __slots__ = ()


def is_import_path(name: str) -> bool:
    """Whether a name is ``package.module:NAME`` or ``path/to/file.py:NAME``."""
    return ":" in name and re.fullmatch(_PLACE, name) is not None


def trusted_places() -> tuple[str, ...]:
    """Names of code that files may name."""
    return tuple(filter(None, os.environ.get(TRUST, "").splitlines()))


def trust(places: Iterable[str]) -> None:
    """Let files name code, for this process and its children."""
    try:
        listed = [*places]
    except TypeError:
        expected = "a list of texts MODULE:NAME"
        raise OptionError(option="trust_code", value=places, expected=expected) from None
    names = trusted_places()
    for place in listed:
        if not isinstance(place, str) or not is_import_path(place):
            raise OptionError(
                problem="{trust_code} is package.module:NAME or path/to/file.py:NAME as a file "
                f"states it, got '{literal(place)}'"
            )
        if place not in names:
            names = (*names, place)
    if names:
        os.environ[TRUST] = "\n".join(names)


def check_trusted(name: str, what: str, file: str | Path) -> None:
    """Refuse code that a file names, unless the user has named it too.

    Raises:
        UntrustedCodeError: If the user has not named it.
    """
    if is_import_path(name) and name not in trusted_places():
        import shlex

        raise UntrustedCodeError(
            f"names code for its {what}, '{name}', and would run {_code_origin(name)}",
            path=file,
            hint=(
                "if you trust that code, name it as the file does: "
                f"{{trust_code={shlex.quote(name)}}}"
            ),
        )


def _code_origin(place: str) -> str:
    module = place.rpartition(":")[0]
    if module.endswith(".py"):
        return os.path.abspath(os.path.expanduser(module))
    top = module.partition(".")[0]
    with suppress(ValueError):  # of modules without a specification, such as __main__
        spec = find_spec(top)
        if spec is not None and spec.origin is not None:
            return spec.origin
    return f"the module '{module}'"


def load_user_object(place: str, what: str) -> object:
    """Load an object of the user's, from Python's path or the working folder."""
    module, _, name = place.rpartition(":")
    if module.endswith(".py"):
        module = _module_of_user_file(Path(module), what, place)
    top = module.partition(".")[0]
    _TOPS.add(top)
    try:
        _add_working_folder(top)
        target = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        hint = ""
        if error.name == top:
            hint = f"; looked where Python finds modules and in the working folder, {os.getcwd()}"
        raise OptionError(f"no {what} '{place}': {error}{hint}") from error
    # Modules of other people may raise any exception.
    except Exception as error:
        raise OptionError(f"no {what} '{place}': {error}") from error
    # It has run, so the files that rilievo writes for it may name it in this process.
    if top != "rilievo" and is_import_path(place):
        trust((place,))
    return target


def extension_fault(error: BaseException) -> str | None:
    """Description of an exception of other packages; None for ours."""
    from traceback import walk_tb

    for frame, line in reversed([*walk_tb(error.__traceback__)]):
        top = str(frame.f_globals.get("__name__")).partition(".")[0]
        if top in _TOPS and top != "rilievo":
            place = f"{Path(frame.f_code.co_filename).name}, line {line}"
            return f"{type(error).__name__}: {one_line(str(error))} ({place})"
    return None


def resolve_name(place: str) -> Any:
    """Import the object of ``module:NAME``."""
    from pkgutil import resolve_name

    return resolve_name(place)


def load_service(name: str) -> Any:
    """Load a service of a subpackage."""
    return resolve_name(SERVICES[name])


def load_named(own: Mapping[str, str], name: str, *, what: str) -> Any | None:
    """Load an object of ``own``, else of an entry point; None without."""
    return resolve_name(own[name]) if name in own else load_entry_point(name, what)


def entry_point_names(what: str) -> tuple[str, ...]:
    """Names of the entry points of a kind, such as "model"."""
    from importlib.metadata import entry_points  # takes 10 ms, so only on demand

    return tuple(sorted({entry.name for entry in entry_points(group=f"rilievo.{what}s")}))


def load_entry_point(name: str, what: str) -> object | None:
    """Load the object of an entry point; None without one."""
    from importlib.metadata import entry_points

    for point in entry_points(group=f"rilievo.{what}s", name=name):
        _TOPS.add(point.value.partition(":")[0].partition(".")[0])
        try:
            return point.load()
        # Modules of other packages may raise any exception.
        except Exception as error:
            package = point.dist.name if point.dist is not None else point.value
            raise OptionError(
                f"{what} '{name}' of the package {package} cannot be loaded: "
                f"{type(error).__name__}: {error}"
            ) from error
    return None


class Registry(HintedAttributes, Mapping[str, T], Generic[T]):
    """Table of our entries that installed packages extend; iteration yields names known so far."""

    def __init__(self, own: Mapping[str, T], what: str, read: Callable[[object, str], T]) -> None:
        """Create a table of ``own`` entries; ``read`` makes others of objects and their names."""
        self.own: Mapping[str, T] = own
        self._found: dict[str, T] = {}
        self._places: dict[str, T] = {}
        self._what, self._read = what, read

    def __getitem__(self, name: object) -> T:
        if not isinstance(name, str):
            raise KeyError(name)
        for table in (self.own, self._places):
            if name in table:
                return table[name]
        if name not in self._found:
            offered = load_entry_point(name, self._what)
            if offered is None:
                raise KeyError(name)
            self._found[name] = self._read(offered, name)
        return self._found[name]

    def find(self, name: str) -> T:
        """Look up a name or place; a place is code that runs, so no request names one."""
        if name not in self:
            if not is_import_path(name):
                raise OptionError(f"no {self._what} '{name}'; {suggest(name, self)}")
            self._places[name] = self._read(load_user_object(name, self._what), name)
        return self[name]

    def sorted_names(self, names: Collection[str]) -> tuple[str, ...]:
        """Names in the table's order, then places."""
        return (*(name for name in self if name in names), *sorted(self._places.keys() & {*names}))

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from list(self._found)

    def __len__(self) -> int:
        return len(self.own) + len(self._found)

    def all(self) -> Mapping[str, T]:
        """Own entries, and others that can be loaded."""
        for name in entry_point_names(self._what):
            with suppress(OptionError):
                self.get(name)
        return dict(self)


def _module_of_user_file(file: Path, what: str, place: str) -> str:
    folder = str(file.expanduser().resolve().parent)
    if not file.expanduser().is_file():
        raise OptionError(f"no {what} '{place}': there is no file {file}")
    if folder not in sys.path:
        sys.path.append(folder)
    # The specification of what is loaded already, else of what would be.
    spec = find_spec(file.stem)
    if spec is None or spec.origin is None or not Path(folder, file.name).samefile(spec.origin):
        raise OptionError(
            f"no {what} '{place}': another module is called '{file.stem}'; rename the file"
        )
    return file.stem


def _add_working_folder(top: str) -> None:
    folder = os.getcwd()
    if folder in sys.path or not top or top in sys.modules:
        return
    if find_spec(top) is None:
        sys.path.append(folder)
