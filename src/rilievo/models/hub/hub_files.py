"""Files of checkpoints in repositories of the Hugging Face hub, or in local folders.

A repository is downloaded once. Its commit and the hashes of its files are recorded then, and
later uses refuse files that differ. No file is ever run.
"""

import errno
import hashlib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import InputError, MissingExtraError, ModelError, RilievoError, first_line
from rilievo.errors.messages import OptionName, Text
from rilievo.io.files.atomic import make_folder, replacing
from rilievo.io.files.limits import read_text
from rilievo.io.json_record import NotThisRecord, from_json, to_json
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

FileChoice = Callable[[Sequence[str]], Sequence[str]]
"""Function from the paths of all files to those that a model needs."""

_REMEDY = Text("run this once where there is a network, or ", OptionName("quality", "fast"))
_HINTS_BY_STATUS = {
    401: "set HF_TOKEN",
    403: "set HF_TOKEN",
    404: "it has no such repository; check the name, and HF_ENDPOINT if it is set",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Files of a checkpoint on this machine.

    Attributes:
        commit: Commit of the repository; None for a local folder.
        files: SHA-256 of the files by their paths in the folder.
    """

    folder: Path
    commit: str | None
    files: Mapping[str, str]

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights; of several files, that of the output of ``sha256sum``."""
        weights = {name: digest for name, digest in self.files.items() if _is_weights_file(name)}
        if len(weights) == 1:
            [digest] = weights.values()
            return digest
        lines = "".join(f"{weights[name]}  {name}\n" for name in sorted(weights))
        return hashlib.sha256(lines.encode()).hexdigest()

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
    """Read the record of a first download; None if there was none.

    Raises:
        ModelError: If it is damaged.
    """
    path = download_record_path(name)
    if not os.path.lexists(path):
        return None
    try:
        return from_json(DownloadRecord, read_text(path))
    except InputError as error:
        raise ModelError(problem=Text(error)) from error
    except NotThisRecord as error:
        raise ModelError(
            f"not rilievo's record of a download ({error}); remove it to start a new one",
            path=path,
        ) from error


def write_download_record(name: str, record: DownloadRecord) -> None:
    """Write the record of a first download."""
    path = download_record_path(name)
    make_folder(path.parent)
    with replacing(path) as part:
        part.write_text(to_json(record, indent=1) + "\n", encoding="utf-8")


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


def open_snapshot(card: ModelCard, revision: str | None, choose: FileChoice) -> Snapshot:
    """Find the files of a checkpoint in its folder, or in the cache after downloading them.

    Args:
        card: Card whose ``source`` is a repository or an absolute folder.
        revision: Branch, tag or commit; None for the main branch.
        choose: Function that chooses the files that the model needs.

    Raises:
        ModelError: If a download fails, or a file is not the one that was downloaded first.
        MissingExtraError: If huggingface_hub is not installed.
    """
    assert card.source is not None, "a checkpoint's card says where it is"
    folder = Path(card.source)
    if folder.is_absolute():
        if revision is not None:
            raise ModelError(f"a local folder has no revision '{revision}'", path=folder)
        return Snapshot(
            folder=folder,
            commit=None,
            files=_sha256_by_name(folder, choose(_relative_paths(folder))),
        )
    if revision is not None and not _REVISION.fullmatch(revision):
        raise ModelError(f"'{revision}' is not a branch, tag or commit")
    return _fetch_snapshot(card, revision or MAIN, choose)


def _fetch_snapshot(card: ModelCard, revision: str, choose: FileChoice) -> Snapshot:
    """Find or download the files of a repository, and check that they did not change."""
    try:
        import huggingface_hub  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"model '{card.name}'", card.extra or "models") from error
    repository = str(card.source)
    name = f"{repository}@{revision}"
    record = read_download_record(name)
    try:
        if record is None:
            folder = _download_first(repository, revision, choose)
        else:
            folder = _download_missing(repository, record.commit, list(record.files))
    except RilievoError:
        raise
    except (OSError, ValueError, _http_error_type()) as error:
        problem = _describe_failure(error, repository, revision)
        raise ModelError(path=name, problem=problem) from error

    if record is None:
        files = _sha256_by_name(folder, choose(_relative_paths(folder)))
        # The cache names its folders by commits.
        record = DownloadRecord(commit=folder.name, files=files)
        write_download_record(name, record)
        _print_licence(card)
    else:
        files = _sha256_by_name(folder, list(record.files))
        _check_first_sha256(name, folder, files, record)
    return Snapshot(folder=folder, commit=record.commit, files=files)


def _download_first(repository: str, revision: str, choose: FileChoice) -> Path:
    """Download the files of a revision for the first time; return their folder in the cache."""
    from huggingface_hub import HfApi, constants, snapshot_download

    if constants.HF_HUB_OFFLINE:
        # Another program may have downloaded it.
        return Path(snapshot_download(repository, revision=revision, allow_patterns=["*.json"]))
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    info = HfApi().model_info(repository, revision=revision, timeout=timeout)
    names = [sibling.rfilename for sibling in info.siblings or ()]
    return _download_missing(repository, info.sha or revision, choose(names))


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
        snapshot = download(local_files_only=True)
    except LocalEntryNotFoundError:
        return download(local_files_only=False)
    is_complete = all((snapshot / name).is_file() for name in files)
    return snapshot if is_complete else download(local_files_only=False)


def _check_first_sha256(
    name: str, folder: Path, files: Mapping[str, str], record: DownloadRecord
) -> None:
    """Check that the hashes ``files`` are still those of the first download.

    Raises:
        ModelError: If one is not.
    """
    for file, digest in files.items():
        first_digest = record.files[file]
        if digest != first_digest:
            raise ModelError(
                f"{folder / file} has sha256 {digest[:12]}..., but when it was first fetched "
                f"{first_digest[:12]}...: remove the file to fetch it again, or the record "
                f"{download_record_path(name)} if you changed it",
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
    # The base of its errors differs between clients.
    from huggingface_hub import errors

    return errors.HTTPError  # pyright: ignore[reportPrivateImportUsage]


def _describe_failure(error: Exception, repository: str, revision: str) -> str | Text:
    """Describe why a download failed, and what to do."""
    from huggingface_hub import constants, errors

    if constants.HF_HUB_OFFLINE:
        return Text("not in the cache, and HF_HUB_OFFLINE forbids downloads: ", _REMEDY)
    hub, message = without_password(constants.ENDPOINT), without_password(first_line(error))
    causes = _chain_of_causes(error)
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return f"the disk is full ({constants.HF_HUB_CACHE}): make room, or set HF_HOME"
        if isinstance(cause, errors.GatedRepoError):
            return f"accept its terms at {hub}/{repository} and set HF_TOKEN"
        if isinstance(cause, errors.RevisionNotFoundError):
            return Text(f"the repository has no revision '{revision}'")
        if isinstance(cause, errors.RepositoryNotFoundError):
            return f"{hub} has no such repository, or it needs HF_TOKEN"
        if isinstance(cause, errors.HfHubHTTPError):
            status = cause.response.status_code
            hint = _HINTS_BY_STATUS.get(status, "try again later")
            return f"{hub} answered with HTTP {status}: {hint}"
    connection_errors = ConnectionError | TimeoutError | _http_error_type()
    if any(isinstance(cause, connection_errors) for cause in causes):
        return Text(f"{hub} cannot be reached, did not answer or broke off ({message}): ", _REMEDY)
    return Text(f"cannot be fetched: {message}")


def _chain_of_causes(error: BaseException) -> list[BaseException]:
    """The error, what caused it, what caused that, and so on."""
    causes = []
    cause: BaseException | None = error
    while cause is not None:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    return causes
