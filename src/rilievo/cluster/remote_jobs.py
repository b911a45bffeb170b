"""Jobs of files at addresses, listed as ``find_jobs`` lists those on disk."""

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
        files = left_out.select_inputs(names, results)
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
