"""Known sizes of many inputs: which rows of a table, or which sensor file, belong to which job."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.io.files.limits import check_regular
from rilievo.options.known_sizes import KnownSizes
from rilievo.predicting.inputs import Job, note_unused_parts
from rilievo.predicting.metres.size_files import (
    find_sparse_file,
    read_known_csv,
    read_known_of_fixed_camera,
    read_photo_sizes,
    sparse_files,
)


def sizes_of_job(sizes: KnownSizes, job: Job, output: Path) -> KnownSizes:
    """Select the sizes of one job: its rows of a table, or its file in the folder of a sensor.

    ``output`` is the folder of all results, whose tree the folder of a sensor has, too.

    Raises:
        InputError: If the table has no row for the job, or the folder no file.
    """
    if sizes.table is not None:
        if sizes.same_camera:
            rows = read_known_of_fixed_camera(sizes.table)
        else:
            rows = read_photo_sizes(job.source, sizes.table)
        return sizes.with_rows(rows)
    if sizes.sparse is not None:
        file = find_sparse_file(sizes.sparse, _sparse_file_stem(job, output))
        return replace(sizes, sparse=file)
    return sizes


def _sparse_file_stem(job: Job, output: Path) -> Path:
    """Return the path of a job's sensor file in the sensor's folder, without its suffix."""
    if job.target.is_relative_to(output):
        return job.target.relative_to(output)
    return Path(job.source.stem)


def check_sizes_of_inputs(sizes: KnownSizes, input_count: int) -> None:
    """Check that known sizes can be read, and that they can apply to all inputs.

    Raises:
        InputError: If a table is broken, or a sensor's file is missing or empty.
        OptionError: If the sizes are those of one photograph, but there are several inputs.
    """
    if sizes.table is not None:
        if sizes.same_camera:
            read_known_of_fixed_camera(sizes.table)
        else:
            read_known_csv(sizes.table)
        return
    if sizes.sparse is not None and not sizes.sparse.is_dir():
        check_regular(sizes.sparse)
    if sizes.same_camera:
        _require_no_sparse_folder(sizes.sparse)
    elif input_count != 1:
        _require_no_sizes_of_one_photo(sizes, input_count)


def _require_no_sparse_folder(sparse: Path | None) -> None:
    """Raise ``OptionError`` if a camera that never moves has a folder of a sensor's files."""
    if sparse is not None and sparse.is_dir():
        raise OptionError(
            option="same_camera",
            problem=Text(
                "needs a single file for ",
                OptionName("sparse"),
                f", but {sparse} is a folder",
            ),
        )


def _require_no_sizes_of_one_photo(sizes: KnownSizes, input_count: int) -> None:
    """Raise ``OptionError`` if several inputs share a sensor's file, or known sizes of one."""
    if sizes.sparse is not None and not sizes.sparse.is_dir():
        raise OptionError(
            option="sparse",
            problem=Text(
                f"{sizes.sparse} applies to one photograph, but there are {input_count}: "
                "give a folder with one file for each photograph, or add ",
                OptionName("same_camera"),
                " if the camera never moved",
            ),
        )
    if sizes.known_sizes:
        size = sizes.known_sizes[0]
        raise OptionError(
            problem=Text(
                f"known {size.noun} {size} applies to one photograph, but there are "
                f"{input_count}: give a table with ",
                OptionName("known", "FILE.csv"),
                " (header: file,u,v,metres), or add ",
                OptionName("same_camera"),
                " if the camera never moved",
            )
        )


def unused_size_notes(sizes: KnownSizes, jobs: Iterable[Job], output: Path) -> list[str]:
    """Return notes on rows of a table and on sensor files that belong to no input."""
    if sizes.same_camera:
        return []
    if sizes.table is not None:
        sources = {job.source.resolve() for job in jobs}
        rows = read_known_csv(sizes.table)
        unused = [path.name for path in rows if path not in sources]
        return note_unused_parts(
            sizes.table, unused, len(rows), "photographs that are not among the inputs"
        )
    if sizes.sparse is not None and sizes.sparse.is_dir():
        used_stems = {_sparse_file_stem(job, output) for job in jobs}
        files = [path.relative_to(sizes.sparse) for path in {*sparse_files(sizes.sparse)}]
        unused_files = [file for file in files if file.with_suffix("") not in used_stems]
        return note_unused_parts(
            sizes.sparse,
            sorted(map(str, unused_files)),
            len(files),
            "files that belong to no photograph",
        )
    return []
