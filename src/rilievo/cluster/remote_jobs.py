"""List the jobs for photographs and videos at addresses."""

import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path

from rilievo.cluster.remote_files import Remote, open_remote, walk
from rilievo.errors import InputError, OptionError
from rilievo.io.files.names import address_or_none, local_path, number_duplicates, unique_names
from rilievo.io.outputs.sidecar import FORMAT, SUFFIX, parse_sidecar
from rilievo.io.photographs.signatures import VIDEO_SUFFIXES
from rilievo.predicting.inputs import Job, LeftOut, Medium, find_jobs, is_photo_or_video


def list_jobs(
    inputs: Sequence[str | Path], output: Path, *, sequence: bool, left_out: LeftOut | None = None
) -> Iterator[Job]:
    """List all jobs, as ``find_jobs`` does, for inputs on disk or at addresses.

    Args:
        inputs: Files, folders and patterns.
        output: Folder or address for the results.
        sequence: Whether each folder is one clip.
        left_out: Record of what is left out.

    Raises:
        OptionError: If some inputs are on disk and some at addresses.
        InputError: If nothing is found.
    """
    left_out = LeftOut() if left_out is None else left_out
    possible_addresses = map(address_or_none, inputs)
    addresses = [address for address in possible_addresses if address is not None]
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
    remotes = [remote for address in addresses for remote in _matches_of_address(address)]
    if not remotes:
        raise InputError("; ".join(f"{source}: no such file or folder" for source in addresses))
    targets = number_duplicates(_target_name(remote) for remote in remotes)
    for remote, target in zip(remotes, targets, strict=True):
        if _is_file(remote):
            yield _job_of_file(remote, output / target)
        else:
            # The results of a single folder go directly into the output.
            folder_target = output if len(remotes) == 1 else output / target
            yield from _jobs_below(remote, folder_target, output, left_out)


def _matches_of_address(address: str) -> list[Remote]:
    """Files that match a pattern, or the file or folder at an address; none if it is missing."""
    remote = open_remote(address)
    is_pattern = any(character in remote.plain_path for character in "*[")
    if is_pattern and remote.scheme != "https":
        return remote.matching_files()
    if is_photo_or_video(posixpath.basename(remote.plain_path)) or remote.exists():
        return [remote]
    return []


def _is_file(remote: Remote) -> bool:
    # A known suffix saves a request for each file; without one, a page of links may be a folder.
    if is_photo_or_video(posixpath.basename(remote.plain_path)):
        return True
    return not remote.path.endswith("/") and not remote.files.isdir(remote.path)


def _target_name(remote: Remote) -> str:
    name = posixpath.basename(remote.plain_path.rstrip("/")) or remote.scheme
    return (Path(name).stem or name) if _is_file(remote) else name


def _jobs_below(folder: Remote, target: Path, output: Path, left_out: LeftOut) -> Iterator[Job]:
    """Yield the jobs for all photographs and videos below a folder, but earlier results.

    Args:
        folder: Folder.
        target: Folder for its results.
        output: Folder for all results of the run, which is skipped.
        left_out: Record of what is left out.
    """
    output_address = address_or_none(output)
    output_path = None
    if output_address is not None:
        output_path = open_remote(output_address).path.rstrip("/")
    root = folder.path.rstrip("/")
    for directory, subfolders, names in walk(folder):
        path = directory.rstrip("/")
        results = _names_of_results(folder.with_path(path), names)
        subfolders[:] = sorted(
            name
            for name in subfolders
            if not name.startswith(".") and name not in results and f"{path}/{name}" != output_path
        )
        files = left_out.select_inputs(names, results)
        relative = path[len(root) :].lstrip("/")
        for name, stem in zip(files, unique_names(files), strict=True):
            yield _job_of_file(folder.with_path(f"{path}/{name}"), target / relative / stem)


def _job_of_file(remote: Remote, target: Path) -> Job:
    is_video = Path(remote.plain_path).suffix.lower() in VIDEO_SUFFIXES
    address = f"{remote.scheme}://{remote.path.split('://', 1)[-1]}"
    medium = Medium.VIDEO if is_video else Medium.PHOTO
    return Job(source=Path(address), medium=medium, target=target)


def _names_of_results(folder: Remote, names: Sequence[str]) -> set[str]:
    """Names of the files and folders in a folder that are results of earlier runs."""
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
        results |= {name, *(entry.file for entry in sidecar.files), *sidecar.earlier}
    return results
