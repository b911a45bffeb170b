"""Failures of single inputs: counted, told on one line, and no end of the run."""

from rilievo.errors import InputError, RilievoError
from rilievo.io.limits import printable, reason
from rilievo.outside import own_fault
from rilievo.predicting.inputs import Job
from rilievo.predicting.summary import Tally


def fail(job: Job, error: Exception, tally: Tally) -> None:
    """Count one input as failed and report why; even a defect of rilievo does not end the run."""
    if not isinstance(error, RilievoError | MemoryError):
        tally.trace(error)
    tally.failed(one_line(job, error))


def one_line(job: Job, error: Exception) -> str:
    """Message about a failure, on one line, which begins with the input's name."""
    name = printable(job.source)
    if isinstance(error, MemoryError):
        return f"{name}: too little memory for this photograph: make it smaller"
    if not isinstance(error, RilievoError):
        theirs = own_fault(error)
        if theirs is not None:
            return f"{name}: a fault in code of your own: {theirs}"
        what = f"{type(error).__name__}: {reason(error)}"
        return f"{name}: a defect of rilievo, please report it ({what})"
    message = printable(str(error))
    named = isinstance(error, InputError) and message.startswith(name)
    return message if named else f"{name}: {message}"
