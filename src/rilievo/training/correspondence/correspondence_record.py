"""Record of scores of correspondence, and its tables."""

from dataclasses import dataclass

from rilievo.data.datasets.dataset import Absent
from rilievo.pages.tables import Content, Heading, Table, make_headings
from rilievo.training.correspondence.correspondence_config import CorrespondenceOptions
from rilievo.training.correspondence.pair_scores import PairScore, Recalls
from rilievo.training.correspondence.protocols import Protocol

_FORMAT = "rilievo-correspondence/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneCorrespondence:
    """Scores of one backbone.

    Attributes:
        layers: Layers whose features were matched, from 0.
        channels: Number of channels of these features.
        weights_sha256: Checksum of the backbone's weights.
        unscored: Pairs that could not be scored, with the reason.
    """

    backbone: str
    layers: tuple[int, ...]
    channels: int
    weights_sha256: str
    recalls: Recalls
    pairs: tuple[PairScore, ...]
    unscored: tuple[Absent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrespondenceRecord:
    """Content of ``correspondence.json``.

    Attributes:
        split: Split of the dataset that was used.
        protocol: Numbers of the protocol that was used.
        absent: Pairs whose files are missing, with the reason.
    """

    format: str = _FORMAT
    version: str
    options: CorrespondenceOptions
    split: str
    protocol: Protocol
    backbones: tuple[BackboneCorrespondence, ...]
    absent: tuple[Absent, ...] = ()

    @property
    def unscored(self) -> tuple[Absent, ...]:
        """Pairs without a score for at least one backbone, with the reason."""
        pair_by_id = {pair.id: pair for pair in self.absent}
        for backbone in self.backbones:
            pair_by_id |= {pair.id: pair for pair in backbone.unscored}
        return tuple(pair_by_id.values())

    def table(self) -> Table:
        """Recalls [%]: a row for each backbone, and columns for thresholds and ranges of angles."""
        protocol = self.protocol
        threshold_headings = [
            Heading(text=threshold.label, group="recall [%]") for threshold in protocol.thresholds
        ]
        angle_group = f"recall at {protocol.main.label} by viewpoint angle [%]"
        angle_headings = [
            Heading(text=f"{lowest:g}-{highest:g}°", group=angle_group)
            for lowest, highest in protocol.ranges
        ]
        return Table(
            title=f"Correspondence on {self.options.dataset}",
            headings=(
                *make_headings("backbone", "layers", "pairs", words=("backbone",)),
                *threshold_headings,
                *angle_headings,
            ),
            rows=tuple(map(_row, self.backbones)),
            notes=self._notes(),
        )

    def _notes(self) -> tuple[str, ...]:
        preset = self.options.preset
        notes = [
            f"Protocol: {self.protocol.source}; preset {preset}, up to {self.options.matches:,} "
            "correspondences of each pair.",
        ]
        if self.protocol.pixel > 1:
            notes.append(
                f"Errors are counted in pixels of an image of 1/{self.protocol.pixel} of the size, "
                "as in Probe3D's program."
            )
        if self.unscored:
            first = self.unscored[0]
            notes.append(
                f"Pairs without a score: {len(self.unscored)}, such as {first.id}: {first.reason}."
            )
        return tuple(notes)

    def pair_table(self) -> Table:
        """Recalls [%] of every pair."""
        threshold_headings = [
            Heading(text=f"recall at {threshold.label} [%]")
            for threshold in self.protocol.thresholds
        ]
        word_columns = ("backbone", "first", "second")
        number_columns = ("angle [degrees]", "correspondences")
        return Table(
            headings=(
                *make_headings(*word_columns, *number_columns, words=word_columns),
                *threshold_headings,
            ),
            rows=tuple(
                (
                    scored.backbone,
                    pair.first,
                    pair.second,
                    pair.angle,
                    pair.matches,
                    *(100 * recall for recall in pair.recalls),
                )
                for scored in self.backbones
                for pair in scored.pairs
            ),
        )


def _row(scored: BackboneCorrespondence) -> tuple[Content, ...]:
    layers = ", ".join(map(str, scored.layers))
    recalls = (*scored.recalls.by_threshold, *scored.recalls.by_angle)
    return (scored.backbone, layers, len(scored.pairs), *map(_percent_text, recalls))


def _percent_text(recall: float | None) -> str | None:
    return None if recall is None else f"{100 * recall:.2f}"
