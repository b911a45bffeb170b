"""Ask the user to agree to the paid calls of a model before any call is made."""

import sys
from collections.abc import Iterable

from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.models.base import Model, PaidModel
from rilievo.options.photo_options import Refine
from rilievo.predicting.inputs import Job, Medium
from rilievo.system.terminal import wrap_for_terminal


def agree_to_pay(
    model: Model, jobs: Iterable[Job], refine: Refine, *, batch_size: int, yes: bool
) -> None:
    """Ask the user to agree to the paid calls of a run, if there is more than one.

    ``yes`` says that the user has agreed already.

    Raises:
        OptionError: If the user does not agree, or an option or a video would multiply the calls.
    """
    if not isinstance(model, PaidModel):
        return
    if refine.tile is not None:
        raise _repeated_calls_error(model, "tile")
    if batch_size > 1:
        # If one photograph of a batch fails, all of the batch are sent again, one by one.
        raise _repeated_calls_error(model, "batch_size")
    photograph_count = 0
    for job in jobs:
        if job.medium is not Medium.PHOTO:
            raise OptionError(
                f"model '{model.card.name}' charges for each call, and each frame of a "
                "video is one call: extract the frames that you need, and pass them as "
                "photographs",
                path=job.source,
            )
        photograph_count += 1
    agree_to_calls(
        model,
        photograph_count,
        flip=refine.flip or refine.compares_mirror_image,
        yes=yes,
    )


def _repeated_calls_error(model: PaidModel, option: str) -> OptionError:
    """Return the error for an option that would send, and charge, photographs more than once."""
    return OptionError(
        problem=Text(
            f"model '{model.card.name}' charges for each call, and ",
            OptionName(option),
            " may send a photograph more than once: leave out this option",
        )
    )


def agree_to_calls(model: Model, photographs: int, *, flip: bool, yes: bool) -> None:
    """Ask the user to agree to paid calls, if there is more than one, and allow them.

    ``flip`` says that each photograph is also sent as its mirror image, and ``yes`` that the user
    has agreed already.

    Raises:
        OptionError: If the user does not agree, or cannot be asked.
    """
    if not isinstance(model, PaidModel):
        return
    calls = photographs * (2 if flip else 1)
    if calls > 1 and not yes:
        _ask_to_pay(model, photographs, calls)
    model.allow(calls)


def check_not_paid(model: Model) -> None:
    """Raise ``OptionError`` if the model is paid by the call."""
    if isinstance(model, PaidModel):
        raise OptionError(
            problem=Text(
                f"model '{model.card.name}' charges for each call, and rilievo cannot "
                "count the calls of several processes together: leave out ",
                OptionName("workers"),
                ", ",
                OptionName("shard"),
                " and ",
                OptionName("ray"),
            )
        )


def _ask_to_pay(model: PaidModel, photographs: int, calls: int) -> None:
    """Ask at the terminal; raise ``OptionError`` unless the user answers yes."""
    sent = "1 photograph" if photographs == 1 else f"{photographs} photographs"
    plan = f"this run sends {sent} to {model.service} in {calls} paid calls"
    if sys.stdin is None or not sys.stdin.isatty():
        raise OptionError(
            path=plan,
            problem=Text(
                "rilievo cannot ask you to agree, because it runs without a terminal; to agree, "
                "give ",
                OptionName("yes"),
            ),
        )
    sys.stderr.write(wrap_for_terminal(f"rilievo: {plan}. Continue? [y/N]", sys.stderr) + " ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise OptionError(f"nothing was sent to {model.service}, because you did not agree")
