"""Staging of remote photographs: downloaded with name, size and time, processed, uploaded.

Uploads are atomic, the list of files first and the JSON last, as in
``rilievo.io.outputs.overwrite_policy``. Remote files are those of fsspec.
"""

import os
import posixpath
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.client import HTTPResponse
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from rilievo.errors import InputError, MissingExtraError, OptionError, OutputError
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.io.checksums import CheckLevel, is_torn
from rilievo.io.files.atomic import make_folder
from rilievo.io.files.commit import FileSet, place_one
from rilievo.io.files.limits import reason
from rilievo.io.files.names import (
    address_or_none,
    local_path,
    number_duplicates,
    printable,
    unique_names,
)
from rilievo.io.files.web import TIMEOUT, make_request
from rilievo.io.outputs.overwrite_policy import Claim, pending_path
from rilievo.io.outputs.sidecar import FORMAT, SUFFIX, parse_sidecar, read_sidecar, sidecar_path
from rilievo.io.photographs.signatures import VIDEO_SUFFIXES
from rilievo.models.base import Inference, Model
from rilievo.predicting.inputs import Job, LeftOut, Medium, find_jobs, is_photo_or_video
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.photographs.results import Results
from rilievo.predicting.predict_across import Storage, TaskFiles
from rilievo.prediction.output import OUTPUTS
from rilievo.records.sample import Photo

_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
_READ_ONLY = ("http", "https")

TRIES = 4

# First wait [s], then doubled.
FIRST_WAIT = 0.5

Answer = TypeVar("Answer")


class WebFiles:
    """Part of an fsspec file system, for http:// and https://, without folders.

    Failures raise ``FileNotFoundError``, ``PermissionError`` or another ``OSError``.
    """

    def glob(self, address: str) -> list[str]:
        """Address itself: web servers expand no patterns."""
        return [address]

    def isdir(self, address: str) -> bool:
        """False, always."""
        del address
        return False

    def walk(self, address: str, on_error: str) -> Iterator[tuple[str, list[str], list[str]]]:
        """Raise ``OSError``: there are no folders."""
        raise OSError("folders of a web server need pip install 'rilievo[cluster]'")

    def exists(self, address: str) -> bool:
        """Whether the server has the file."""
        try:
            self.info(address)
        except FileNotFoundError:
            return False
        return True

    def info(self, address: str) -> dict[str, Any]:
        """Size [bytes] and time of change, if sent."""
        with _open_address(address) as answer:  # not HEAD, which many servers refuse
            headers = answer.headers
            size = headers.get("Content-Length", "")
            facts: dict[str, Any] = {"size": int(size) if size.isdigit() else None}
            if facts["size"] is None:
                facts["size"] = sum(len(part) for part in iter(lambda: answer.read(2**20), b""))
            return facts | {"Last-Modified": headers.get("Last-Modified")}

    def cat_file(self, address: str) -> bytes:
        """Bytes of a file."""
        with _open_address(address) as answer:
            return answer.read()

    def get_file(self, address: str, path: str) -> None:
        """Download; ``OSError`` for less than the announced bytes."""
        with _open_address(address) as answer, Path(path).open("wb") as file:
            shutil.copyfileobj(answer, file, 2**20)
            expected = answer.headers.get("Content-Length", "")
            if expected.isdigit() and file.tell() != int(expected):
                raise OSError(f"it broke off after {file.tell():,} of {int(expected):,} bytes")


def _open_address(address: str) -> HTTPResponse:
    try:
        return urlopen(make_request(address), timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        if error.code in (404, 410):
            raise FileNotFoundError(str(error)) from None
        if error.code in (401, 403):
            raise PermissionError(str(error)) from None
        raise OSError(str(error)) from None
    except URLError as error:  # fsspec raises the same where no server answers
        cause = error.reason if isinstance(error.reason, OSError) else error
        raise FileNotFoundError(str(error)) from cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """Remote file or folder."""

    files: Any
    path: str
    scheme: str

    @property
    def address(self) -> str:
        """Address on one line, without a signature's query."""
        return f"{self.scheme}://{printable(self.plain_path.split('://', 1)[-1])}"

    @property
    def plain_path(self) -> str:
        """Path without a signature's query."""
        return self.path.split("?", 1)[0]

    def with_path(self, path: str) -> "Remote":
        """Other file of this file system."""
        return Remote(files=self.files, path=path, scheme=self.scheme)

    def matching_files(self) -> "list[Remote]":
        """Sorted matches of the path as a pattern, none hidden."""
        paths = self._ask_with_retries(lambda: list(self.files.glob(self.path)))
        return [self.with_path(path) for path in sorted(paths) if "/." not in path]

    def exists(self) -> bool:
        """Whether a file or folder is there."""
        return self._ask_with_retries(lambda: bool(self.files.exists(self.path)))

    def text(self) -> str:
        """Read a small text file."""
        try:
            return self._ask_with_retries(lambda: self.files.cat_file(self.path)).decode()
        except UnicodeDecodeError as error:
            raise InputError(f"{self.address}: is no text") from error

    def size_and_time(self) -> tuple[int, int]:
        """Size [bytes] and time [ns since 1970], 0 if unknown."""
        info = self._ask_with_retries(lambda: self.files.info(self.path))
        size = info.get("size")
        if not isinstance(size, int):
            raise InputError(f"{self.address}: the place does not say how large it is")
        return size, _nanoseconds_of_change(info)

    def download(self, path: Path) -> None:
        """Copy it to a path."""
        self._ask_with_retries(lambda: self.files.get_file(self.path, str(path)))

    def upload(self, path: Path) -> None:
        """Replace it by a local file."""
        try:
            self._ask_with_retries(lambda: self.files.put_file(str(path), self.path))
        except InputError as error:
            raise OutputError(problem=Text(error)) from error

    def remove(self) -> None:
        """Delete, if it exists."""
        try:
            if self.exists():
                self._ask_with_retries(lambda: self.files.rm_file(self.path))
        except InputError as error:
            raise OutputError(problem=Text(error)) from error

    def _ask_with_retries(self, question: Callable[[], Answer]) -> Answer:
        for number in range(TRIES):
            try:
                return question()
            except (FileNotFoundError, IsADirectoryError) as error:
                if not _is_unreachable(error):
                    raise InputError(f"{self.address}: is not there") from error
                if number + 1 == TRIES:
                    raise InputError(
                        f"{self.address}: cannot be reached ({reason(error.__cause__ or error)})"
                    ) from error
            except PermissionError as error:
                raise InputError(
                    f"{self.address}: no permission ({reason(error)}): are the keys of the place "
                    "set where the work is done?"
                ) from error
            except Exception as error:
                # Every file system raises errors of its own and of the library below it.
                if number + 1 == TRIES:
                    raise InputError(
                        f"{self.address}: failed {TRIES} times ({type(error).__name__}: "
                        f"{reason(error)})"
                    ) from error
            time.sleep(FIRST_WAIT * 2**number)
        raise AssertionError("the last try returns or raises")


def _is_unreachable(error: OSError) -> bool:
    """Whether no server answered; fsspec's HTTP raises FileNotFoundError then."""
    cause = error.__cause__
    return isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError)


def open_remote(address: str, *, for_writing: bool = False) -> Remote:
    """Open the file system of an address.

    Raises:
        MissingExtraError: If its scheme's package is not installed.
        OptionError: If the scheme is not supported, or cannot be written to.
    """
    scheme = address.partition("://")[0]
    if for_writing and scheme in _READ_ONLY:
        raise OptionError(option="output", problem=f"{address}: nothing can be written to {scheme}")
    if scheme in _READ_ONLY and (find_spec("fsspec") is None or find_spec("aiohttp") is None):
        return Remote(files=WebFiles(), path=address, scheme=scheme)
    if any(find_spec(package) is None for package in ("fsspec", _PACKAGES.get(scheme, "fsspec"))):
        raise MissingExtraError(f"{scheme}://", "cluster")
    import fsspec

    try:
        files, path = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError, OSError) as error:
        raise OptionError(
            f"{address}: such addresses cannot be reached ({reason(error)})"
        ) from error
    return Remote(files=files, path=path, scheme=scheme)


def walk(place: Remote) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk over folders, with subfolders to be pruned, and files."""
    try:
        yield from place.files.walk(place.path, on_error="raise")
    except Exception as error:
        # Every file system raises errors of its own and of the library below it.
        raise InputError(f"{place.address}: cannot be listed ({reason(error)})") from error


def _nanoseconds_of_change(info: dict[str, Any]) -> int:
    for key in ("LastModified", "last_modified", "updated", "mtime", "created", "Last-Modified"):
        moment = info.get(key)
        if isinstance(moment, int | float):
            return int(moment * 1e9)
        if isinstance(moment, str):
            try:
                return int(parsedate_to_datetime(moment).timestamp() * 1e9)
            except ValueError:
                continue
        if hasattr(moment, "timestamp"):
            assert moment is not None, "None has no timestamp"
            return int(moment.timestamp() * 1e9)
    return 0


def list_jobs(
    inputs: Sequence[str | Path], output: Path, *, sequence: bool, left_out: LeftOut | None = None
) -> Iterator[Job]:
    """List all jobs as ``find_jobs`` does, either on disk or at addresses."""
    left_out = LeftOut() if left_out is None else left_out
    addresses = [address for name in inputs if (address := address_or_none(name)) is not None]
    if not addresses:
        return find_jobs(
            list(map(local_path, inputs)), output, sequence=sequence, left_out=left_out
        )
    if len(addresses) < len(inputs):
        raise OptionError("inputs are on disk, or at addresses, not both: call once for each")
    if sequence:
        raise OptionError(
            option="sequence", problem="is about folders on disk: fetch the frames first"
        )
    return _jobs_at(addresses, output, left_out)


def _jobs_at(addresses: Sequence[str], output: Path, left_out: LeftOut) -> Iterator[Job]:
    places = [place for address in addresses for place in _matches_of_address(address)]
    if not places:
        raise InputError("; ".join(f"{source}: no such file or folder" for source in addresses))
    targets = number_duplicates(_target_name(place) for place in places)
    several = len(places) > 1
    for place, target in zip(places, targets, strict=True):
        if _is_file(place):
            yield _job_of_file(place, output / target)
        else:
            yield from _jobs_below(place, output / target if several else output, output, left_out)


def _matches_of_address(address: str) -> list[Remote]:
    place = open_remote(address)
    if any(mark in place.plain_path for mark in "*[") and place.scheme != "https":
        return place.matching_files()
    if is_photo_or_video(posixpath.basename(place.plain_path)) or place.exists():
        return [place]
    return []


def _is_file(place: Remote) -> bool:
    if is_photo_or_video(posixpath.basename(place.plain_path)):
        return True  # saves a request for each file, and need not tell pages of links from files
    return not place.path.endswith("/") and not place.files.isdir(place.path)


def _target_name(place: Remote) -> str:
    name = posixpath.basename(place.plain_path.rstrip("/")) or place.scheme
    return (Path(name).stem or name) if _is_file(place) else name


def _jobs_below(folder: Remote, target: Path, output: Path, left_out: LeftOut) -> Iterator[Job]:
    ours = address_or_none(output)
    own = None if ours is None else open_remote(ours).path.rstrip("/")
    root = folder.path.rstrip("/")
    for directory, subfolders, names in walk(folder):
        here = directory.rstrip("/")
        results = _names_of_results(folder.with_path(here), names)
        subfolders[:] = sorted(
            name
            for name in subfolders
            if not name.startswith(".") and name not in results and f"{here}/{name}" != own
        )
        files = left_out.inputs_among(names, results)
        relative = here[len(root) :].lstrip("/")
        for name, stem in zip(files, unique_names(files), strict=True):
            yield _job_of_file(folder.with_path(f"{here}/{name}"), target / relative / stem)


def _job_of_file(place: Remote, target: Path) -> Job:
    is_clip = Path(place.plain_path).suffix.lower() in VIDEO_SUFFIXES
    address = f"{place.scheme}://{place.path.split('://', 1)[-1]}"
    return Job(
        source=Path(address), medium=Medium.VIDEO if is_clip else Medium.PHOTO, target=target
    )


def _names_of_results(folder: Remote, names: Sequence[str]) -> set[str]:
    results: set[str] = set()
    for name in names:
        if not name.endswith(SUFFIX):
            continue
        try:
            text = folder.with_path(f"{folder.path}/{name}").text()
            # Folders exported from phones have a JSON beside every photograph.
            if FORMAT not in text[:64]:
                continue
            sidecar = parse_sidecar(text, name)
        except InputError:
            continue
        results |= {name, *(facts.file for facts in sidecar.files), *sidecar.earlier}
    return results


class Stage(TaskFiles):
    """Scratch folder, and addresses of its paths."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._number = 0
        self._sources: dict[Path, str] = {}
        self._targets: dict[Path, str] = {}

    def enter(self, job: Job) -> Job:
        """Job with scratch paths for addresses."""
        source, target = address_or_none(job.source), address_or_none(job.target)
        if source is None and target is None:
            return job
        here = self._unused_path()
        if source is not None:
            path = here / "in" / Path(source.split("?")[0]).name
            self._sources[path] = source
            job = Job(source=path, medium=job.medium, target=job.target)
        if target is not None:
            path = here / "out" / job.target.name
            self._targets[path] = target
            job = Job(source=job.source, medium=job.medium, target=path)
        return job

    def source(self, job: Job) -> Remote | None:
        """Remote source; None on disk."""
        address = self._sources.get(job.source)
        return None if address is None else open_remote(address)

    def target(self, job: Job) -> Remote | None:
        """Remote target without suffix; None on disk."""
        address = self._targets.get(job.target)
        return None if address is None else open_remote(address, for_writing=True)

    def results(
        self, *, model: Model, options: PredictOptions, note: Callable[[str], None]
    ) -> "StagedResults":
        """Writer of results that uploads them."""
        return StagedResults(model=model, options=options, note=note, stage=self)

    def translated(self, message: str) -> str:
        """Replace scratch paths in a message by addresses."""
        text = Text(message)
        for path, address in (*self._sources.items(), *self._targets.items()):
            scratch, place = (printable(name) for name in (path, address.split("?")[0]))
            # A download that failed names its address itself.
            text = text.replace(f"{scratch}: {place}: ", f"{place}: ").replace(scratch, place)
        return Note(text)

    def clear(self) -> None:
        """Remove the scratch folder."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        self._sources.clear()
        self._targets.clear()

    def _unused_path(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="rilievo-"))
        self._number += 1
        return self._folder / str(self._number)


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedResults(Results):
    """Results of jobs that went through ``enter``."""

    stage: Stage = field(default_factory=Stage)

    @property
    def thoroughness(self) -> CheckLevel:
        """Depth of comparisons: unfetched files show only sizes."""
        if self.options.saving.resume == "hash":
            return CheckLevel.HASHES
        return (
            CheckLevel.ENDS
            if address_or_none(self.options.saving.output) is None
            else CheckLevel.SIZES
        )

    def is_finished(self, job: Job) -> bool:
        """Whether the job is finished; downloads its photograph if not."""
        source, target = self.stage.source(job), self.stage.target(job)
        modified = 0
        if target is not None:
            if job.medium is not Medium.PHOTO:
                raise OutputError(
                    path=job.source,
                    problem=Text(
                        "results of videos go to a folder on disk: choose another ",
                        OptionName("output"),
                        ", and copy them",
                    ),
                )
            make_folder(job.target.parent)
            _mirror_results(
                target, job.target, self.formats, fetches=self.thoroughness is CheckLevel.HASHES
            )
        if source is not None:
            # An empty file of the right size and time is enough to see whether work is needed.
            size, modified = source.size_and_time()
            make_folder(job.source.parent)
            job.source.touch()
            os.truncate(job.source, size)
            os.utime(job.source, ns=(modified, modified))
        # super() fails here: a dataclass with slots replaces the class after defining its methods.
        if Results.is_finished(self, job):
            return True
        if source is not None:
            source.download(job.source)
            os.utime(job.source, ns=(modified, modified))
        return False

    def write(self, job: Job, photo: Photo, inference: Inference) -> FileSet | None:
        """Write and upload; on disk, return the placement."""
        formats = [*self.options_by_output(job)]
        placement = Results.write(self, job, photo, inference)
        target = self.stage.target(job)
        if target is None or placement is None:
            return placement
        place_one(placement)
        _upload_results(job.target, target, formats)
        return None


def _mirror_results(target: Remote, stem: Path, formats: Sequence[str], *, fetches: bool) -> None:
    """Mirror files here: lists by content, others by size."""
    for path in (sidecar_path(stem), pending_path(stem)):
        there = _remote_beside(target, path)
        if there.exists():
            there.download(path)
    names = {stem.name + OUTPUTS[name].suffix for name in formats}
    if sidecar_path(stem).exists():
        try:
            sidecar = read_sidecar(sidecar_path(stem))
        except InputError:
            sidecar = None
        if sidecar is not None:
            names |= {*(facts.file for facts in sidecar.files), *sidecar.earlier}
    is_cut = is_torn(sidecar_path(stem)) or is_torn(pending_path(stem))
    for name in names:
        path = stem.with_name(name)
        there = _remote_beside(target, path)
        if path.exists() or not there.exists():
            continue
        if is_cut or fetches:
            there.download(path)
        else:
            path.touch()
            os.truncate(path, there.size_and_time()[0])


def _upload_results(stem: Path, target: Remote, formats: Sequence[str]) -> None:
    """Upload, the JSON last, marked as pending meanwhile."""
    json, pending = sidecar_path(stem), pending_path(stem)
    text = json.read_text(encoding="utf-8")
    sidecar = parse_sidecar(text, printable(json))
    files = tuple(facts.file for facts in sidecar.files)
    Claim(stem=stem, files=files, earlier=sidecar.earlier).write_pending_list()
    _remote_beside(target, pending).upload(pending)
    _remote_beside(target, json).remove()
    for facts in sidecar.files:
        if facts.output in formats:
            _remote_beside(target, stem.with_name(facts.file)).upload(stem.with_name(facts.file))
    json.write_text(text, encoding="utf-8")
    _remote_beside(target, json).upload(json)
    _remote_beside(target, pending).remove()


def _remote_beside(target: Remote, path: Path) -> Remote:
    return target.with_path(f"{target.path.rpartition('/')[0]}/{path.name}")


@dataclass(frozen=True, slots=True)
class Addresses(Storage):
    """Inputs, results or both at addresses."""

    def check_output(self, output: Path) -> None:
        """Refuse an output that cannot be written to."""
        address = address_or_none(output)
        if address is not None:
            open_remote(address, for_writing=True)

    def list_jobs(
        self, inputs: Sequence[str | Path], output: Path, *, sequence: bool, left_out: LeftOut
    ) -> Iterator[Job]:
        """List all jobs in a fixed order."""
        return list_jobs(inputs, output, sequence=sequence, left_out=left_out)

    def open_task(self) -> Stage:
        """Scratch folder of a task."""
        return Stage()
