"""List the prediction jobs for photographs and videos at addresses such as s3://bucket/photos."""

import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path

from rilievo.cluster.remote_files import Remote, open_remote, walk
from rilievo.errors import InputError, OptionError
from rilievo.io.files.names import address_or_none, local_path, number_duplicates, unique_names
from rilievo.io.outputs.sidecar import FORMAT, SUFFIX, parse_sidecar
from rilievo.predicting.inputs import (
    Job,
    SkippedInputs,
    find_jobs,
    is_photo_or_video,
    job_for_file,
)


def list_jobs(
    inputs: Sequence[str | Path],
    output: Path,
    *,
    sequence: bool,
    skipped: SkippedInputs | None = None,
) -> Iterator[Job]:
    """List all jobs, as ``find_jobs`` does, for inputs on disk or at addresses.

    ``skipped`` collects what is left out.

    Raises:
        OptionError: If some inputs are on disk and some at addresses.
        InputError: If nothing is found.
    """
    skipped = SkippedInputs() if skipped is None else skipped
    possible_addresses = [address_or_none(name) for name in inputs]
    addresses = [address for address in possible_addresses if address is not None]
    if not addresses:
        paths = [local_path(name) for name in inputs]
        return find_jobs(paths, output, sequence=sequence, skipped=skipped)
    if len(addresses) < len(inputs):
        raise OptionError(
            "some inputs are on disk and others are addresses: process them separately"
        )
    if sequence:
        raise OptionError(
            option="sequence", problem="needs folders on disk: download the frames first"
        )
    return _list_remote_jobs(addresses, output, skipped)


def _list_remote_jobs(
    addresses: Sequence[str], output: Path, skipped: SkippedInputs
) -> Iterator[Job]:
    """Yield the jobs for all files at addresses and in folders at addresses."""
    remotes: list[Remote] = []
    for address in addresses:
        remotes += _find_remotes(address)
    if not remotes:
        raise InputError("; ".join(f"{source}: no such file or folder" for source in addresses))
    target_names = number_duplicates(_target_name(remote) for remote in remotes)
    for remote, target_name in zip(remotes, target_names, strict=True):
        if _is_file(remote):
            yield _file_job(remote, output / target_name)
        else:
            # The results of a single folder go directly into the output.
            folder_target = output if len(remotes) == 1 else output / target_name
            yield from _list_folder_jobs(remote, folder_target, output, skipped)


def _find_remotes(address: str) -> list[Remote]:
    """Find the files that match a pattern, or the file or folder at an address, if it exists."""
    remote = open_remote(address)
    is_pattern = any(character in remote.plain_path for character in "*[")
    if is_pattern and remote.scheme != "https":
        return remote.matching_files()
    if is_photo_or_video(posixpath.basename(remote.plain_path)) or remote.exists():
        return [remote]
    return []


def _is_file(remote: Remote) -> bool:
    # A known suffix saves one request for each file. Without one, a web page of links is a folder.
    if is_photo_or_video(posixpath.basename(remote.plain_path)):
        return True
    return not remote.path.endswith("/") and not remote.files.isdir(remote.path)


def _target_name(remote: Remote) -> str:
    name = posixpath.basename(remote.plain_path.rstrip("/")) or remote.scheme
    if not _is_file(remote):
        return name
    return Path(name).stem or name


def _list_folder_jobs(
    folder: Remote, target: Path, output: Path, skipped: SkippedInputs
) -> Iterator[Job]:
    """Yield the jobs for all photographs and videos below a folder, except earlier results.

    The results go to ``target``, and the folder ``output`` of the whole run is skipped.
    """
    # Paths as the remote file system writes them, so that they can be compared.
    output_address = address_or_none(output)
    output_path = None
    if output_address is not None:
        output_path = open_remote(output_address).path.rstrip("/")
    root_path = folder.path.rstrip("/")
    for directory, subfolders, file_names in walk(folder):
        directory_path = directory.rstrip("/")
        result_names = _find_result_names(folder.with_path(directory_path), file_names)
        input_folders = [
            name
            for name in subfolders
            if not name.startswith(".")
            and name not in result_names
            and f"{directory_path}/{name}" != output_path
        ]
        # As with ``os.walk``, changing the list in place chooses the folders to enter.
        subfolders[:] = sorted(input_folders)
        input_files = skipped.select_inputs(file_names, result_names)
        relative_path = directory_path[len(root_path) :].lstrip("/")
        for name, stem in zip(input_files, unique_names(input_files), strict=True):
            remote_file = folder.with_path(f"{directory_path}/{name}")
            yield _file_job(remote_file, target / relative_path / stem)


def _file_job(remote: Remote, target: Path) -> Job:
    address = f"{remote.scheme}://{remote.path.split('://', 1)[-1]}"
    return job_for_file(Path(address), target, name=remote.plain_path)


def _find_result_names(folder: Remote, names: Sequence[str]) -> set[str]:
    """Names in a folder that belong to results of earlier runs, as their sidecars say."""
    results: set[str] = set()
    for name in names:
        if not name.endswith(SUFFIX):
            continue
        try:
            text = folder.with_path(f"{folder.path}/{name}").text()
            # Phones export a JSON of another kind beside every photograph.
            if FORMAT not in text[:64]:
                continue
            sidecar = parse_sidecar(text, name)
        except InputError:
            continue
        results |= {name, *sidecar.all_names}
    return results
