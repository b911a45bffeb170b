"""``rilievo predict`` in several processes, on one machine or on many."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rilievo.batch.addresses import address_of, local_path, remote
from rilievo.batch.listing import list_jobs
from rilievo.batch.options import BatchOptions
from rilievo.batch.predicting import PredictWork
from rilievo.batch.spread import spread_out, threads_each
from rilievo.batch.work import Report
from rilievo.errors import OptionError
from rilievo.io.limits import printable
from rilievo.predicting.inputs import Job, LeftOut
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.run import check_known, make_ready, without_effect
from rilievo.predicting.summary import Summary, Tally


def predict_across(
    inputs: Sequence[str | Path],
    options: PredictOptions | None = None,
    batch: BatchOptions | None = None,
    *,
    show: bool = True,
) -> Summary:
    """Predict as ``predict_files`` does, in several processes; files are the same to the byte.

    An input that fails, or that kills its process twice, is reported and skipped. Scripts must
    call this under ``if __name__ == "__main__"``, since it starts processes.

    Args:
        inputs: Files, folders (recursive) or patterns, on disk or at addresses of s3, gs or https.
        options: Options of the prediction, as for ``predict_files``.
        batch: The part of the inputs to predict, the number of processes, and the machines.
        show: Whether to show progress on standard error.

    Raises:
        RilievoError: If no input can be predicted at all.
    """
    options, batch = options or PredictOptions(), batch or BatchOptions()
    inputs = [inputs] if isinstance(inputs, str | Path) else inputs
    if not inputs:
        raise OptionError("name at least one photograph, folder or video")
    if options.same_camera:
        raise OptionError(
            "--same-camera compares photographs in one process: leave out --workers, --shard and "
            "--ray, and addresses"
        )
    options = replace(options, output=Path(local_path(options.output)))
    output = address_of(options.output)
    if output is not None:
        remote(output, for_writing=True)
    threads = threads_each(batch, options.threads)
    work = PredictWork(options=replace(options, threads=threads))
    left_out = LeftOut()
    count = _count(inputs, options, batch, left_out)
    with Tally(output=options.output, total=count, show=show) as tally:
        if output is None:
            make_ready(options.output)
        for message in left_out.unreadable:
            tally.failed(message)
        for message in (*left_out.notes(), *without_effect(inputs, options)):
            tally.note(message)
        reports = spread_out(
            work,
            _share(inputs, options, batch),
            count=count,
            batch=batch,
            threads=threads,
            device=options.device,
        )
        try:
            for report in reports:
                _tell(tally, report)
        except KeyboardInterrupt:
            tally.interrupted = True
            tally.note(
                "tasks that were under way are not counted; what they finished is there, and "
                "the same command passes over it"
            )
    return tally.summary()


def _count(
    inputs: Sequence[str | Path], options: PredictOptions, batch: BatchOptions, left_out: LeftOut
) -> int:
    """Number of inputs in this part; refuses a run without inputs, and options that misfit it."""
    count, every = 0, 0
    for job in list_jobs(inputs, options.output, sequence=options.sequence, left_out=left_out):
        every += 1
        count += batch.share.takes(_name(job, options))
    if not every:
        raise OptionError(f"no photograph or video in {', '.join(map(printable, inputs))}")
    check_known(options, every)
    return count


def _share(
    inputs: Sequence[str | Path], options: PredictOptions, batch: BatchOptions
) -> Iterator[Job]:
    share = batch.share
    for job in list_jobs(inputs, options.output, sequence=options.sequence):
        if share.takes(_name(job, options)):
            yield job


def _name(job: Job, options: PredictOptions) -> str:
    """Path of the results within the output folder, which is unique to each input."""
    return job.target.relative_to(options.output).as_posix()


def _tell(tally: Tally, report: Report) -> None:
    tally.stages.add(report.spent)
    for _ in range(report.done):
        tally.done()
    for _ in range(report.finished_before):
        tally.finished_before()
    for failure in report.failures:
        tally.failed(failure.reason)
    for note in report.notes:
        tally.note(note)
