"""Models from training runs on video: their depth network."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from rilievo.errors import MissingExtraError
from rilievo.models.card import ModelCard
from rilievo.models.engines import LoadOptions
from rilievo.models.settings import read_settings
from rilievo.models.video_run import WEIGHTS, VideoSettings, read_video_run

if TYPE_CHECKING:
    from rilievo.models.torch_model import TorchModel


def load(card: ModelCard, options: LoadOptions) -> "TorchModel":
    """Load a run (``ModelCard.loader``).

    Raises:
        ModelError: If the folder is broken.
        MissingExtraError: If a package that it needs is not installed.
        OptionError: If the device, engine, precision or a setting is not available.
    """
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"model '{card.name}'", "train") from error
    from rilievo.models.video_network import video_model
    from rilievo.networks.video.depth import DepthNet
    from rilievo.networks.video.official import fitting
    from rilievo.networks.video.start import read_run_weights

    assert card.source is not None, "the card of a run has its folder"
    settings = read_settings(VideoSettings, options.settings, card.name)
    path = Path(card.source) / WEIGHTS
    blueprint = read_video_run(path.parent).blueprint
    depth = DepthNet(blueprint)
    depth.load_state_dict(fitting(depth, read_run_weights(path), path, "depth."))
    return video_model(
        card,
        blueprint,
        depth,
        options,
        settings,
        weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
