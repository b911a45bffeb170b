"""Check whether a run is finished and its files are intact."""

from pathlib import Path

from rilievo.errors import InputError
from rilievo.io.checksums import content_fault, is_blank, is_torn, read_checksums
from rilievo.io.limits import printable

CHECKPOINT = "checkpoint.pt"


def is_finished(run: Path, *, weights: str, record: str) -> bool:
    """Whether a run is finished; its checkpoint is deleted last.

    Raises:
        InputError: If its weights are broken and there is no checkpoint to resume from, or the
            checkpoint has no content.
    """
    checkpoint = run / CHECKPOINT
    if checkpoint.exists():
        if is_blank(checkpoint):
            raise InputError(
                f"{printable(checkpoint)}: has no content, as after a power cut: take it away to "
                "train anew, or copy the run from elsewhere"
            )
        return False
    if not all((run / name).exists() for name in (weights, record)) or is_torn(run / record):
        return False
    expected = (read_checksums(run) or {}).get(weights)
    fault = "has no content" if is_blank(run / weights) else None
    if fault is None and expected is not None:
        fault = content_fault(run / weights, expected)
    if fault is not None:
        raise InputError(
            f"{printable(run / weights)}: {fault}, and there is no {CHECKPOINT} to go on from: "
            f"take {record} away to train anew, or copy the run from elsewhere"
        )
    return True
