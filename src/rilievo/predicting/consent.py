"""Consent of the user to paid calls of a model."""

import sys
from collections.abc import Iterable

from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.models.base import Model, PaidModel
from rilievo.predicting.inputs import Job, Medium
from rilievo.predicting.options import PredictOptions
from rilievo.system.terminal import wrap_for_terminal


def agree_to_pay(model: Model, jobs: Iterable[Job], options: PredictOptions) -> None:
    """Ask before more than one paid call of a run."""
    if not isinstance(model, PaidModel):
        return
    name = f"model '{model.card.name}'"
    for option, is_on in (
        ("tile", options.refine.tile is not None),
        ("batch_size", options.speed.batch_size > 1),
    ):
        # If one photograph of a batch fails, the batch is sent again one by one.
        if is_on:
            problem = Text(
                f"{name} is paid by the call: ", OptionName(option), " would send photographs again"
            )
            raise OptionError(problem=problem)
    refine, photographs = options.refine, 0
    for job in jobs:
        if job.medium is not Medium.PHOTO:
            raise OptionError(
                (
                    f"{name} is paid by the call, and every frame would be "
                    "one: choose the frames, and give them as photographs"
                ),
                path=job.source,
            )
        photographs += 1
    agree_to_calls(model, photographs, flip=refine.flip or refine.mirrors, yes=options.network.yes)


def agree_to_calls(model: Model, photographs: int, *, flip: bool, yes: bool) -> None:
    """Ask before more than one paid call."""
    if not isinstance(model, PaidModel):
        return
    calls = photographs * (2 if flip else 1)
    if calls > 1 and not yes:
        _ask_to_pay(model, photographs, calls)
    model.allow(calls)


def _ask_to_pay(model: PaidModel, photographs: int, calls: int) -> None:
    what = f"{photographs} photographs go to {model.service}, as {calls} paid calls"
    if sys.stdin is None or not sys.stdin.isatty():
        raise OptionError(
            path=what,
            problem=Text("say ", OptionName("yes"), " to agree, as nobody can be asked here"),
        )
    sys.stderr.write(wrap_for_terminal(f"rilievo: {what}. Go on? [y/N]", sys.stderr) + " ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise OptionError(f"nothing was sent to {model.service}")
