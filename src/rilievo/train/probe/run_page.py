"""Page of a run of a probe or of a whole network."""

from pathlib import Path

from rilievo.errors import MissingExtraError
from rilievo.pages.training import write_training_page
from rilievo.train.probe.records import TrainingRecord


def page_line(run: Path, record: TrainingRecord) -> str:
    """Write the page of a finished run, and tell where; the run is whole without its page.

    Raises:
        OutputError: If the file cannot be written.
    """
    try:
        page = write_training_page(
            run,
            kind="Training",
            verdict=f"The loss of the last epoch is {record.loss:.4g}.",
            counts=f"{record.steps:,} steps on {record.images:,} images, {record.held_out:,} held "
            f"out, {record.cpu_seconds:.0f} CPU seconds on {record.device}",
            doubts=record.doubts,
        )
    except MissingExtraError as missing:
        return f"note: {missing}"
    return f"page: {page}"
