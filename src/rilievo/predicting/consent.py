"""The user agrees to the paid calls of a model before any is made."""

import sys
from collections.abc import Iterable

from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.models.base import Model, PaidModel
from rilievo.predicting.inputs import Job, Medium
from rilievo.predicting.options import PredictOptions
from rilievo.system.terminal import wrap_for_terminal


def agree_to_pay(model: Model, jobs: Iterable[Job], options: PredictOptions) -> None:
    """Ask the user to agree to the paid calls of a run, if there is more than one.

    Raises:
        OptionError: If the user does not agree, or an option or a video would multiply the calls.
    """
    if not isinstance(model, PaidModel):
        return
    refine = options.refine
    if refine.tile is not None:
        raise _repeated_calls_error(model, "tile")
    if options.speed.batch_size > 1:
        # If one photograph of a batch fails, each of the batch is sent once more.
        raise _repeated_calls_error(model, "batch_size")
    photographs = 0
    for job in jobs:
        if job.medium is not Medium.PHOTO:
            raise OptionError(
                f"model '{model.card.name}' is paid by the call, and every frame would be one: "
                "choose the frames, and give them as photographs",
                path=job.source,
            )
        photographs += 1
    agree_to_calls(model, photographs, flip=refine.flip or refine.mirrors, yes=options.network.yes)


def _repeated_calls_error(model: PaidModel, option: str) -> OptionError:
    """Error on an option by which photographs would be sent, and paid, more than once."""
    return OptionError(
        problem=Text(
            f"model '{model.card.name}' is paid by the call: ",
            OptionName(option),
            " would send photographs again",
        )
    )


def agree_to_calls(model: Model, photographs: int, *, flip: bool, yes: bool) -> None:
    """Ask the user to agree to paid calls, if there is more than one, and allow them.

    Args:
        model: Model, which may be free.
        photographs: Number of photographs.
        flip: Whether each photograph is sent once more as its mirror image.
        yes: Whether the user has agreed already.

    Raises:
        OptionError: If the user does not agree, or cannot be asked.
    """
    if not isinstance(model, PaidModel):
        return
    calls = photographs * (2 if flip else 1)
    if calls > 1 and not yes:
        _ask_to_pay(model, photographs, calls)
    model.allow(calls)


def _ask_to_pay(model: PaidModel, photographs: int, calls: int) -> None:
    """Ask at the terminal; raise ``OptionError`` if the answer is not yes."""
    plan = f"{photographs} photographs go to {model.service}, as {calls} paid calls"
    if sys.stdin is None or not sys.stdin.isatty():
        raise OptionError(
            path=plan,
            problem=Text("say ", OptionName("yes"), " to agree, as nobody can be asked here"),
        )
    sys.stderr.write(wrap_for_terminal(f"rilievo: {plan}. Go on? [y/N]", sys.stderr) + " ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise OptionError(f"nothing was sent to {model.service}")
