"""Results made again from kept answers, in other formats, colours, cuts or metres."""

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path

from rilievo.errors import OptionError
from rilievo.io.files.placement import place_one
from rilievo.io.outputs.ownership import first_difference
from rilievo.options.anchor_use import AnchorUse
from rilievo.options.given_camera import GivenCamera
from rilievo.options.known_sizes import KnownSizes
from rilievo.options.option_record import flag
from rilievo.options.refine import Refine
from rilievo.options.saving_options import Saving
from rilievo.predicting.answers.keeping import deciding
from rilievo.predicting.effects import check_known, without_effect
from rilievo.predicting.inputs import Job, Medium
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.photographs.results import Results
from rilievo.predicting.remaking.kept_results import KeptResult, find_kept
from rilievo.predicting.summary import Summary, Tally, fail

_OF_LOADING = ("yes", "trust_code")


def predict_again(
    inputs: Sequence[str | Path], options: PredictOptions, broken: Sequence[str], *, show: bool
) -> Summary | None:
    """Make results again from kept answers; None if none is kept there.

    They are written where they are, or below ``output`` if it is not the default. Where metres or
    other options differ from those of the earlier run, all of its files are written again.

    Args:
        inputs: Folders of results.
        options: Options of this run.
        broken: Messages about files there that cannot be read, which are reported.
        show: Whether to show progress.

    Raises:
        OptionError: If an option is about the network, which does not run.
    """
    found = list(find_kept(inputs))
    if not found:
        return None
    _check(options)
    check_known(options.sizes, len(found))
    is_elsewhere = options.saving.output != Saving().output
    output = options.saving.output if is_elsewhere else found[0].root
    with Tally(output=output, total=len(found) + len(broken), show=show) as tally:
        for message in broken:
            tally.failed(message)
        for note in without_effect(options, {Medium.PHOTO: len(found)}):
            tally.note(note)
        try:
            for kept in found:
                target = kept.target
                if is_elsewhere:
                    target = output / target.relative_to(kept.root)
                job = Job(source=kept.photo, medium=Medium.PHOTO, target=target)
                _make(kept, job, options, tally)
        except KeyboardInterrupt:
            tally.interrupted = True
    return tally.summary()


def _make(kept: KeptResult, job: Job, options: PredictOptions, tally: Tally) -> None:
    try:
        kept.check_photo()
        inference = kept.answer()
        results = Results(
            model=kept.model(inference),
            options=deciding(_options(kept, options), 1),
            note=tally.note,
            again=job.target == kept.target,
        )
        if results.again:
            run = results.run_facts(job)
            changed = first_difference(kept.sidecar, results.model.made_by, run) is not None
            saving = replace(results.options.saving, overwrite=changed, resume=False)
            results = replace(results, options=replace(results.options, saving=saving))
        elif results.is_finished(job):
            tally.finished_before()
            return
        results.check()
        placement = results.write(job, results.read(job), inference)
        if placement is not None:
            place_one(placement)
        tally.done(job.target)
    except Exception as error:
        fail(job, error, tally)


def _options(kept: KeptResult, options: PredictOptions) -> PredictOptions:
    """Options of this run, and of the earlier one those that this one does not name."""
    run = kept.sidecar.run
    surface, sizes = options.surface, options.sizes
    if surface == AnchorUse() and run.get("anchor") == "off":
        surface = AnchorUse(anchor="off")
    if sizes == KnownSizes():
        sizes = _sizes(kept)
    output = options.saving.output if options.saving.output != Saving().output else kept.root
    saving = replace(options.saving, output=output)
    alpha = "keep" if run.get("alpha") == "keep" else "mask"
    refine = replace(options.refine, alpha=alpha, stretch=run.get("stretch") is True)
    return replace(
        options, view=kept.view, surface=surface, sizes=sizes, refine=refine, saving=saving
    )


def _sizes(kept: KeptResult) -> KnownSizes:
    """Sizes that were known in the earlier run."""
    run = kept.sidecar.run
    if run.get("sparse"):
        raise OptionError("its metres are of --sparse: give that again, or other sizes")
    return KnownSizes(
        known=tuple(str(run.get("known") or "").split()),
        camera_height=kept.number("camera_height"),
        markers=kept.number("markers"),
        own_depth="off" if run.get("own_depth") == "off" else "on",  # pyright: ignore
    )


def _check(options: PredictOptions) -> None:
    """Refuse options of the network."""
    for name in _of_network(options):
        raise OptionError(
            f"{flag(name)} is about the network, which does not run again for results that are "
            f"there: name the photographs, not their results, or leave it out"
        )


def _of_network(options: PredictOptions) -> Iterator[str]:
    """Names of options of the network that differ from their defaults."""
    for record, usual in (
        (options.network, type(options.network)()),
        (options.view, GivenCamera()),
        (options.refine, Refine()),
    ):
        for field in fields(record):
            if field.name not in _OF_LOADING and getattr(record, field.name) != getattr(
                usual, field.name
            ):
                yield field.name
