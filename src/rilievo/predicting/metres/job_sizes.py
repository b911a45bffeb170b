"""Known sizes of many inputs: which rows of a table, or which sensor file, belong to which job."""

from dataclasses import replace
from pathlib import Path

from rilievo.options.known_sizes import KnownSizes
from rilievo.predicting.inputs import Job
from rilievo.predicting.metres.size_files import (
    find_sparse_file,
    read_known_of_fixed_camera,
    read_photo_sizes,
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
