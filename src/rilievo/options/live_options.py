"""Which options of ``rilievo predict`` a live stream has: all but those that are named here.

``rilievo.stream`` and ``rilievo predict --live`` have no list of their own. An option that is added
to a record of ``PredictOptions`` is one of both at once, unless it is about files that are written,
or stands in ``NOT_LIVE`` with the reason.
"""

from collections.abc import Collection, Mapping

from rilievo.io.outputs.save_options import PICTURES
from rilievo.schema.fields import OptionField, Switch, options_of

NOT_LIVE: Mapping[str, str] = {
    "yes": "a stream has no end, and so no cost to agree to",
    "own_depth": "frames hold no depth map of their own",
    "alpha": "frames have no transparent pixels",
    "stretch": "frames are no 16-bit grey pictures",
    "batch_size": "frames are predicted one by one, as they arrive",
    "sequence": "a folder of frames is no stream",
    "independent": "each frame of a stream has its own scale anyway",
    "inputs": "the stream takes their place",
    "verbose": "it tells of files that were written",
    "json": "it sums up files that were written",
    "shard": "one process predicts a stream",
    "ray": "one process predicts a stream",
    "workers": "one process predicts a stream",
}
"""Why an option makes no sense for a stream, by its name."""

LIVE_DEFAULTS: Mapping[str, Switch] = {"trim": Switch.OFF}
"""Defaults of a stream that are not those of ``rilievo predict``.

``trim``: borders are found in each frame alone, and depth jumps where they come and go.
"""


def reason_not_live(option: OptionField, *, draws: bool) -> str | None:
    """Say why a stream does not have an option; None if it has it.

    Args:
        option: Option of ``rilievo predict``.
        draws: Whether pictures of depth are drawn, as on the page of ``--live``.
    """
    if option.name in NOT_LIVE:
        return NOT_LIVE[option.name]
    if option.declaration.affects != "files":
        return None
    if option.declaration.subject != PICTURES:
        return "a stream writes no files"
    return None if draws else "a stream draws no pictures; prediction.colour() does"


def live_option_names(record: type, *, draws: bool) -> Collection[str]:
    """Names of a record's options that a stream has; ``draws`` is as in ``reason_not_live``."""
    return tuple(
        option.name for option in options_of(record) if reason_not_live(option, draws=draws) is None
    )
