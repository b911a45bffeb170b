"""Options of ``rilievo predict``: records of one subject each, whose fields users write flat."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from inspect import Signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Unpack

import numpy as np
import tyro

from rilievo.errors import OptionError
from rilievo.models.base import Model
from rilievo.models.model_options import Network, NetworkChoice, load_as
from rilievo.options.anchor_use import AnchorArguments, AnchorUse
from rilievo.options.engine import Speed, SpeedOptions
from rilievo.options.given_camera import CameraArguments, GivenCamera
from rilievo.options.known_sizes import KnownOptions, KnownSizes
from rilievo.options.option_record import Record, names_of, refuse_unknown, signature_with
from rilievo.options.refine import Refine, RefineArguments
from rilievo.options.saving_options import Saving, SavingOptions
from rilievo.options.video_use import VideoOptions, VideoUse

RECORDS: Mapping[str, type[Record]] = {
    "saving": Saving,
    "network": Network,
    "view": GivenCamera,
    "sizes": KnownSizes,
    "surface": AnchorUse,
    "refine": Refine,
    "speed": Speed,
    "video": VideoUse,
}
"""Records of ``PredictOptions``, in the order of the help."""

_FLAT = tyro.conf.arg(name="")
"""Flags of a record without its name before them."""


def _groups() -> Mapping[str, tuple[str, ...]]:
    """Titles of the help, and the options below each."""
    groups: dict[str, tuple[str, ...]] = {}
    for kind in RECORDS.values():
        groups[kind.GROUP] = (*groups.get(kind.GROUP, ()), *names_of(kind))
    return groups


class PredictKeywords(
    SavingOptions,
    NetworkChoice,
    CameraArguments,
    KnownOptions,
    AnchorArguments,
    RefineArguments,
    SpeedOptions,
    VideoOptions,
    total=False,
):
    """Keywords of ``PredictOptions``: the fields of its records, or whole records."""

    saving: Saving
    network: Network
    view: GivenCamera
    sizes: KnownSizes
    surface: AnchorUse
    refine: Refine
    speed: Speed
    video: VideoUse


@dataclass(frozen=True, kw_only=True, init=False)
class PredictOptions:
    """All options of ``rilievo predict`` besides its inputs.

    They are given flat, by the names of the flags: ``PredictOptions(save="ply", fov=60)``; the
    records that hold and explain them are ``Saving``, ``Network``, ``GivenCamera``, ``KnownSizes``,
    ``AnchorUse``, ``Refine``, ``Speed`` and ``VideoUse``.

    Raises:
        OptionError: If an option is out of range or two do not go together.
    """

    saving: Annotated[Saving, _FLAT]
    network: Annotated[Network, _FLAT]
    view: Annotated[GivenCamera, _FLAT]
    sizes: Annotated[KnownSizes, _FLAT]
    surface: Annotated[AnchorUse, _FLAT]
    refine: Annotated[Refine, _FLAT]
    speed: Annotated[Speed, _FLAT]
    video: Annotated[VideoUse, _FLAT]

    GROUPS: ClassVar[Mapping[str, tuple[str, ...]]] = _groups()
    __signature__: ClassVar[Signature]

    def __init__(self, **given: Unpack[PredictKeywords]) -> None:
        flat = [name for kind in RECORDS.values() for name in names_of(kind)]
        refuse_unknown("PredictOptions", given, (*RECORDS, *flat))
        for name, kind in RECORDS.items():
            own: dict[str, Any] = {each: given[each] for each in names_of(kind) if each in given}
            whole: Any = given.get(name)
            record = kind(**own) if whole is None else replace(whole, **own) if own else whole
            object.__setattr__(self, name, record)
        if isinstance(self.sizes.sparse, np.ndarray):
            raise OptionError("sparse is a file or folder here; rilievo.predict takes an array")

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Find a field of one of the records, flat as it was given."""
            records = vars(self).values() if not name.startswith("_") else ()
            for record in records:
                if hasattr(record, name):
                    return getattr(record, name)
            raise AttributeError(f"PredictOptions has no option '{name}'")

    def model_for(self, *, video: bool) -> str:
        """Name of the model of photographs, or of videos, which have a faster default."""
        return self.network.name_for(video=video)

    def load(self, name: str | Path) -> Model:
        """Load a model to run so, with its settings."""
        return load_as(name, self.speed, self.network, self.network)


PredictOptions.__signature__ = signature_with(PredictOptions, PredictKeywords, RECORDS.values())
