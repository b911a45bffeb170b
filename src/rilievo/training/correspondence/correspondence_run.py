"""``probe_correspondence``, which matches features of backbones between views."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.dataset import Absent, Dataset, ViewPair, ViewPairs
from rilievo.errors import InputError, explain_missing_extra
from rilievo.errors.messages import count_text
from rilievo.io.files.atomic import make_folder, write_text
from rilievo.io.json_record import to_json
from rilievo.pages.tables import table_as_csv, table_as_latex, tables_as_markdown
from rilievo.training.correspondence.correspondence_config import CorrespondenceOptions
from rilievo.training.correspondence.correspondence_record import (
    BackboneCorrespondence,
    CorrespondenceRecord,
)
from rilievo.training.correspondence.pair_scores import (
    PairScore,
    mean_recalls,
    recalls_of_points,
    rotation_angle,
)
from rilievo.training.correspondence.protocols import (
    Protocol,
    find_pair_dataset,
    find_protocol,
)
from rilievo.training.engine.progress import print_to_stderr
from rilievo.version import VERSION

# torch is imported at the call, so that the core can import this module and report what is missing.
if TYPE_CHECKING:
    from rilievo.training.networks.backbones import Backbone

_MIN_POINTS = 2
"""Points that a view needs, because the ratio test compares two neighbours."""
_PAIRS_PER_LINE = 50
"""Pairs after which a line of progress is printed."""


def probe_correspondence(
    options: CorrespondenceOptions, output: Path | None = None, *, show: bool = True
) -> CorrespondenceRecord:
    """Match the features of frozen backbones between two views, and score the correspondences.

    Nothing is trained. Each point on the surface of the first view is matched to the point of the
    second view whose feature is most similar (by the cosine). The ratio test ranks these matches,
    and the best ones are scored: a match is correct if its error is below a threshold. The method
    and the numbers are those of El Banani et al., "Probing the 3D Awareness of Visual Foundation
    Models", CVPR 2024, and of its program (mbanani/probe3d).

    Examples:
        >>> options = rilievo.CorrespondenceOptions(
        ...     backbones=["timm/test_resnet"], weights="random", root="navi", device="cpu"
        ... )
        >>> len(rilievo.probe_correspondence(options, show=False).backbones[0].pairs)
        1

    Args:
        options: Backbones, pairs of views, and how they are matched.
        output: Folder for ``correspondence.json``, ``pairs.csv`` and the tables; None writes
            nothing.
        show: Print progress to standard error.

    Raises:
        InputError: If the dataset cannot be read, or no pair of it can be scored.
        MissingExtraError: If torch or another package of training is not installed.
        ModelError: If a backbone cannot be loaded.
        OptionError: If an option is invalid, or the dataset has no pairs of views.
        OutputError: If the folder cannot be written.
    """
    with explain_missing_extra("matching features", "train"):
        import torch  # noqa: F401
    protocol = find_protocol(options.protocol, options.dataset)
    defaults = find_pair_dataset(options.dataset)
    dataset = open_dataset(
        options.dataset,
        options.root,
        split=options.split or defaults.split,
        variant=defaults.variant,
    )
    all_pairs = dataset.view_pairs()
    pairs = _choose_pairs(all_pairs, dataset, options.limit)
    if output is not None:
        make_folder(output)

    record = CorrespondenceRecord(
        version=VERSION,
        options=options,
        split=dataset.request.split,
        protocol=protocol,
        backbones=tuple(
            _score_backbone(name, dataset, pairs, options, protocol, show=show)
            for name in options.backbones
        ),
        absent=all_pairs.absent,
    )
    if output is not None:
        _write_files(record, output)
    return record


def _choose_pairs(
    all_pairs: ViewPairs, dataset: Dataset, limit: int | None
) -> tuple[ViewPair, ...]:
    """Choose up to ``limit`` evenly spread pairs; ``InputError`` if there are none."""
    pairs = all_pairs.pairs
    if not pairs:
        reason = all_pairs.absent[0].reason if all_pairs.absent else "the split has no images"
        raise InputError(f"dataset '{dataset.card.name}': found no pair of views: {reason}")
    if limit is None or limit >= len(pairs):
        return pairs
    indices = np.linspace(0, len(pairs) - 1, limit).round().astype(int)
    return tuple(pairs[index] for index in indices)


def _score_backbone(
    name: str,
    dataset: Dataset,
    pairs: tuple[ViewPair, ...],
    options: CorrespondenceOptions,
    protocol: Protocol,
    *,
    show: bool,
) -> BackboneCorrespondence:
    """Load a backbone, and score all pairs."""
    from rilievo.training.adapters.torch_model import torch_device
    from rilievo.training.networks.backbones import tensors_sha256

    device = torch_device(options.device)
    backbone = _load_backbone(name, options).to(device)
    scores: list[PairScore] = []
    unscored: list[Absent] = []
    for number, pair in enumerate(pairs, start=1):
        result = _score_pair(pair, backbone, dataset, options, protocol)
        if isinstance(result, PairScore):
            scores.append(result)
        else:
            unscored.append(result)
        if show and (number % _PAIRS_PER_LINE == 0 or number == len(pairs)):
            print_to_stderr(f"{name}: {number} of {count_text(len(pairs), 'pair')}")
    if not scores:
        first = unscored[0]
        raise InputError(
            f"dataset '{dataset.card.name}': no pair can be scored; for example, {first.id}: "
            f"{first.reason}"
        )
    return BackboneCorrespondence(
        backbone=name,
        layers=backbone.properties.layers,
        channels=sum(backbone.channels),
        weights_sha256=tensors_sha256(backbone.stored_weights()),
        recalls=mean_recalls(scores, protocol),
        pairs=tuple(scores),
        unscored=tuple(unscored),
    )


def _load_backbone(name: str, options: CorrespondenceOptions) -> "Backbone":
    from rilievo.training.networks.backbones import make_backbone

    weights = options.weights
    is_file = weights not in ("pretrained", "random")
    return make_backbone(
        name,
        layers=(-1,) if options.layers is None else options.layers,
        tokens=False,
        pretrained=Path(weights) if is_file else weights == "pretrained",
        preset=options.preset,
    )


def _score_pair(
    pair: ViewPair,
    backbone: "Backbone",
    dataset: Dataset,
    options: CorrespondenceOptions,
    protocol: Protocol,
) -> PairScore | Absent:
    """Score one pair; if it cannot be scored, say why."""
    from rilievo.training.correspondence.matching import match_features
    from rilievo.training.correspondence.views import features_of_view, read_view

    is_probe3d = options.preset == "probe3d"
    pair_id = f"{pair.first} {pair.second}"
    try:
        first, second = (
            read_view(dataset, image_id, protocol, is_probe3d=is_probe3d)
            for image_id in (pair.first, pair.second)
        )
    except InputError as error:
        return Absent(id=pair_id, reason=str(error))
    counts = (len(first.points), len(second.points))
    if min(counts) < _MIN_POINTS:
        reason = (
            f"the two views have {counts[0]} and {counts[1]} points with depth on the grid, but "
            f"matching needs at least {_MIN_POINTS}"
        )
        return Absent(id=pair_id, reason=reason)

    first_features, second_features = (
        features_of_view(backbone, view, protocol, is_probe3d=is_probe3d)
        for view in (first, second)
    )
    matches = match_features(first_features, second_features, options.matches)
    second_T_first = np.linalg.inv(second.world_T_cam) @ first.world_T_cam
    return PairScore(
        first=pair.first,
        second=pair.second,
        angle=rotation_angle(second_T_first),
        matches=len(matches.first),
        recalls=recalls_of_points(
            first.points[matches.first.cpu().numpy()],
            second.points[matches.second.cpu().numpy()],
            second_T_first,
            second.K,
            protocol,
        ),
    )


def _write_files(record: CorrespondenceRecord, folder: Path) -> None:
    """Write the record last, so that a folder with a record is complete."""
    table = record.table()
    write_text(folder / "table.md", tables_as_markdown(table))
    write_text(folder / "table.csv", table_as_csv(table))
    write_text(folder / "table.tex", table_as_latex(table))
    write_text(folder / "pairs.csv", table_as_csv(record.pair_table()))
    write_text(folder / "correspondence.json", to_json(record, indent=2))
