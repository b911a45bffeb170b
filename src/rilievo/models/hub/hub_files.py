"""Find or download the files of checkpoints from the Hugging Face hub, or in local folders.

At the first download of a repository, its commit and the hashes of its files are recorded. Later,
files with other hashes are refused. Code among the files is never run.
"""

import errno
import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import InputError, MissingExtraError, ModelError, RilievoError, first_line
from rilievo.errors.messages import OptionName, Text
from rilievo.io.files.atomic import make_folder, write_text
from rilievo.io.files.limits import read_text
from rilievo.io.json_record import InvalidRecordError, from_json, to_json
from rilievo.models.card import ModelCard
from rilievo.models.catalogue.download import without_password
from rilievo.models.hub.checkpoints import unlisted_card
from rilievo.models.network_files import cache_directory, sha256
from rilievo.models.requests import FoundModel, ModelRequest
from rilievo.system.terminal import wrap_for_terminal

MAIN = "main"
WEIGHTS = (".safetensors", ".bin")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)
_REVISION = re.compile(r"[\w./-]+", re.ASCII)

FileFilter = Callable[[Sequence[str]], Sequence[str]]
"""Function from the paths of all files to those that a model needs."""

_OFFLINE_HINT = Text(
    "run this once while you are online, or use ",
    OptionName("quality", "fast"),
    ", which needs no download",
)
_HINTS_BY_STATUS = {
    401: "set HF_TOKEN to a token that may read this repository",
    403: "set HF_TOKEN to a token that may read this repository",
    404: "check the name of the repository, and HF_ENDPOINT if it is set",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Files of a checkpoint on this machine.

    Attributes:
        files: SHA-256 of the files by their paths in the folder.
    """

    folder: Path
    commit: str | None
    files: Mapping[str, str]

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights; for several files, the hash of the output of ``sha256sum``."""
        digests = {name: digest for name, digest in self.files.items() if _is_weights_file(name)}
        if len(digests) == 1:
            [digest] = digests.values()
            return digest
        sha256sum_output = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
        return hashlib.sha256(sha256sum_output.encode()).hexdigest()

    @property
    def weights_bytes(self) -> int:
        """Size of the weights."""
        weights = [self.folder / name for name in self.files if _is_weights_file(name)]
        return sum(path.stat().st_size for path in weights)


def _is_weights_file(name: str) -> bool:
    return name.endswith(WEIGHTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadRecord:
    """Commit and hashes of the first download of a repository."""

    commit: str
    files: Mapping[str, str]


def download_record_path(name: str) -> Path:
    """Path of the record of the first download of ``ORG/NAME@REVISION``."""
    return cache_directory() / "hub" / f"{name.replace('/', '--')}.json"


def read_download_record(name: str) -> DownloadRecord | None:
    """Read the record of a first download; None if there was none."""
    path = download_record_path(name)
    if not os.path.lexists(path):
        return None
    try:
        return from_json(DownloadRecord, read_text(path))
    except InputError as error:
        raise ModelError(problem=Text(error)) from error
    except InvalidRecordError as error:
        raise ModelError(
            f"is not a valid record of a download ({error}); remove the file, and rilievo writes "
            "a new one",
            path=path,
        ) from error


def write_download_record(name: str, record: DownloadRecord) -> None:
    """Write the record of a first download."""
    path = download_record_path(name)
    make_folder(path.parent)
    write_text(path, to_json(record, indent=1) + "\n")


def is_repository(name: str) -> bool:
    """Whether a name has the form ``org/name``."""
    return _REPOSITORY.fullmatch(name) is not None


def find_repository(request: ModelRequest) -> FoundModel | None:
    """Find a checkpoint by its repository, if the user states the kind of its depth."""
    repository, _, revision = request.text.partition("@")
    if request.kind is None or not is_repository(repository):
        return None
    card = unlisted_card(repository, request.kind, local=False)
    return FoundModel(card=card, revision=revision or None)


def open_snapshot(card: ModelCard, revision: str | None, filter_files: FileFilter) -> Snapshot:
    """Find the files of a checkpoint in its folder, or download its repository into the cache.

    Args:
        card: Card whose ``source`` is a repository or an absolute folder.
        revision: Branch, tag or commit; None for the main branch.
        filter_files: Function that selects the files that the model needs.

    Raises:
        ModelError: If a download fails, or a file is not the one that was downloaded first.
        MissingExtraError: If huggingface_hub is not installed.
    """
    assert card.source is not None, "a checkpoint's card states its folder or repository"
    folder = Path(card.source)
    if folder.is_absolute():
        if revision is not None:
            raise ModelError(
                f"a local folder has no revision; leave out '@{revision}'", path=folder
            )
        needed_files = filter_files(_relative_paths(folder))
        return Snapshot(folder=folder, commit=None, files=_sha256_by_name(folder, needed_files))
    if revision is not None and not _REVISION.fullmatch(revision):
        raise ModelError(f"'{revision}' is not the name of a branch, tag or commit")
    return _fetch_snapshot(card, revision or MAIN, filter_files)


def _fetch_snapshot(card: ModelCard, revision: str, filter_files: FileFilter) -> Snapshot:
    """Find or download the files of a repository, and check that they did not change."""
    try:
        import huggingface_hub  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"model '{card.name}'", card.extra or "models") from error
    repository = str(card.source)
    name = f"{repository}@{revision}"
    record = read_download_record(name)
    if record is None:
        with _describing_failures(repository, revision):
            folder = _download_first(repository, revision, filter_files)
        files = _sha256_by_name(folder, filter_files(_relative_paths(folder)))
        # huggingface_hub's cache names the folder of a snapshot by its commit.
        record = DownloadRecord(commit=folder.name, files=files)
        write_download_record(name, record)
        _print_licence(card)
    else:
        with _describing_failures(repository, revision):
            folder = _download_missing(repository, record.commit, list(record.files))
        files = _sha256_by_name(folder, list(record.files))
        _check_first_sha256(name, folder, files, record)
    return Snapshot(folder=folder, commit=record.commit, files=files)


@contextmanager
def _describing_failures(repository: str, revision: str) -> Iterator[None]:
    """Turn errors of a download in the block into a ``ModelError`` that says what to do."""
    try:
        yield
    except RilievoError:
        raise
    except (OSError, ValueError, _http_error_type()) as error:
        problem = _describe_failure(error, repository, revision)
        raise ModelError(path=f"{repository}@{revision}", problem=problem) from error


def _download_first(repository: str, revision: str, filter_files: FileFilter) -> Path:
    """Download the files of a revision for the first time; return their folder in the cache."""
    from huggingface_hub import HfApi, constants, snapshot_download

    if constants.HF_HUB_OFFLINE:
        # Another program may have downloaded it. This only finds the folder in the cache.
        return Path(snapshot_download(repository, revision=revision, allow_patterns=["*.json"]))
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    info = HfApi().model_info(repository, revision=revision, timeout=timeout)
    paths = [sibling.rfilename for sibling in info.siblings or ()]
    return _download_missing(repository, info.sha or revision, filter_files(paths))


def _download_missing(repository: str, commit: str, files: Sequence[str]) -> Path:
    """Download those files of a commit that the cache lacks; return their folder in the cache."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    def download(*, local_files_only: bool) -> Path:
        path = snapshot_download(
            repository,
            revision=commit,
            allow_patterns=list(files),
            etag_timeout=constants.HF_HUB_ETAG_TIMEOUT,
            local_files_only=local_files_only,
        )
        return Path(path)

    try:
        folder = download(local_files_only=True)
    except LocalEntryNotFoundError:
        return download(local_files_only=False)
    is_complete = all((folder / name).is_file() for name in files)
    return folder if is_complete else download(local_files_only=False)


def _check_first_sha256(
    name: str, folder: Path, files: Mapping[str, str], record: DownloadRecord
) -> None:
    """Check that the hashes ``files`` are still those of the first download."""
    for file, digest in files.items():
        first_digest = record.files[file]
        if digest != first_digest:
            raise ModelError(
                f"{folder / file} has sha256 {digest[:12]}..., but had "
                f"{first_digest[:12]}... when it was first downloaded: remove the file to "
                "download it again, or if you changed it yourself, remove the record "
                f"{download_record_path(name)}",
                path=name,
            )


def _sha256_by_name(folder: Path, files: Sequence[str]) -> Mapping[str, str]:
    return {name: sha256(folder / name) for name in files}


def _relative_paths(folder: Path) -> list[str]:
    try:
        paths = [path for path in folder.rglob("*") if path.is_file()]
        return sorted(path.relative_to(folder).as_posix() for path in paths)
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}", path=folder) from error


def _print_licence(card: ModelCard) -> None:
    where = f"https://huggingface.co/{card.source}"
    if card.commercial is False:
        text = f"NON-COMMERCIAL LICENCE: the weights of {card.name} are {card.licence} ({where})"
    else:
        text = f"licence of the weights of {card.name}: {card.licence} ({where})"
    sys.stderr.write(wrap_for_terminal(f"rilievo: {text}", sys.stderr) + "\n")


def _http_error_type() -> type[Exception]:
    """Base class of the errors of huggingface_hub's HTTP client, which is requests or httpx."""
    from huggingface_hub import errors

    return errors.HTTPError  # pyright: ignore[reportPrivateImportUsage]


def _describe_failure(error: Exception, repository: str, revision: str) -> str | Text:
    """Describe why a download failed, and what to do."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return Text(
            "the model is not in the cache, and downloads are switched off (by --offline, or by "
            "the variable HF_HUB_OFFLINE): ",
            _OFFLINE_HINT,
        )
    hub = without_password(constants.ENDPOINT)
    message = without_password(first_line(error))
    causes = _chain_of_causes(error)
    for cause in causes:
        problem = _describe_known_cause(cause, hub, repository, revision)
        if problem is not None:
            return problem
    connection_errors = ConnectionError | TimeoutError | _http_error_type()
    if any(isinstance(cause, connection_errors) for cause in causes):
        return Text(
            f"{hub} cannot be reached, did not answer or interrupted the download ({message}): ",
            _OFFLINE_HINT,
        )
    return Text(f"the model cannot be downloaded: {message}")


def _describe_known_cause(
    cause: BaseException, hub: str, repository: str, revision: str
) -> str | Text | None:
    """Describe a full disk or a refusal of the hub, and what to do; None for other causes.

    ``hub`` is the hub's address for messages.
    """
    from huggingface_hub import constants, errors

    if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"the disk is full ({constants.HF_HUB_CACHE}): free some space, or set HF_HOME "
            "to another folder"
        )
    # The errors of the hub are subclasses of HfHubHTTPError, so it comes last. A repository whose
    # access is restricted also counts as not found.
    if isinstance(cause, errors.GatedRepoError):
        return (
            f"its authors restrict access: accept the terms at {hub}/{repository}, and set HF_TOKEN"
        )
    if isinstance(cause, errors.RevisionNotFoundError):
        return Text(f"the repository has no revision '{revision}': give a branch, tag or commit")
    if isinstance(cause, errors.RepositoryNotFoundError):
        return (
            f"{hub} has no such repository, or the repository is private: check the name, or "
            "set HF_TOKEN"
        )
    if isinstance(cause, errors.HfHubHTTPError):
        status = cause.response.status_code
        hint = _HINTS_BY_STATUS.get(status, "try again later")
        return f"{hub} answered with HTTP {status}: {hint}"
    return None


def _chain_of_causes(error: BaseException) -> list[BaseException]:
    """The error, its cause, the cause of that, and so on."""
    causes = []
    cause: BaseException | None = error
    while cause is not None:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    return causes
