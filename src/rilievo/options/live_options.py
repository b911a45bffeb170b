"""Which options of ``rilievo predict`` a live stream has: all but those that are named here.

``rilievo.stream`` and ``rilievo predict --live`` have no list of their own. Every option in a
record of ``PredictOptions`` is also an option of both, unless it is about files that are written,
or ``NOT_LIVE`` has a reason against it.
"""

from collections.abc import Collection, Mapping

from rilievo.io.outputs.save_options import PICTURES
from rilievo.schema.fields import OptionField, Switch, list_options

NOT_LIVE: Mapping[str, str] = {
    "yes": "a stream has no end, so its total cost cannot be known",
    "own_depth": "frames contain no depth map",
    "manhattan": "a correction that comes and goes would make the depth of frames flicker",
    "alpha": "frames have no transparent pixels",
    "stretch": "frames are not 16-bit grey pictures",
    "batch_size": "frames are predicted one by one, as they arrive",
    "sequence": "a folder of frames is not a stream",
    "independent": "each frame of a stream has its own scale anyway",
    "inputs": "the stream replaces the inputs",
    "verbose": "the messages are about files, and a stream writes none",
    "json": "the summary is about files, and a stream writes none",
    "shard": "one process predicts a stream",
    "ray": "one process predicts a stream",
    "workers": "one process predicts a stream",
}
"""Why an option makes no sense for a stream, by its name."""

LIVE_DEFAULTS: Mapping[str, Switch] = {"trim": Switch.OFF}
"""Defaults of a stream that are not those of ``rilievo predict``.

``trim``: borders are found in each frame alone, and depth jumps where they come and go.
"""


def reason_not_live(option: OptionField, *, draws_pictures: bool) -> str | None:
    """Return why a stream lacks an option of ``rilievo predict``; None if it has the option.

    ``draws_pictures`` says whether pictures of depth are drawn, as on the page of ``--live``.
    """
    if option.name in NOT_LIVE:
        return NOT_LIVE[option.name]
    if option.declaration.affects != "files":
        return None
    if option.declaration.subject != PICTURES:
        return "a stream writes no files"
    # Options of pictures change what a page draws, even without files.
    return None if draws_pictures else "a stream draws no pictures; use prediction.colour() instead"


def live_option_names(record: type, *, draws_pictures: bool) -> Collection[str]:
    """List the options of a record that a stream has, as ``reason_not_live`` decides."""
    return tuple(
        option.name
        for option in list_options(record)
        if reason_not_live(option, draws_pictures=draws_pictures) is None
    )
