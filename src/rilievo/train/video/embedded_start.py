"""Start of a run on video from the weights of an embedded model."""

from rilievo.errors import OptionError, needing
from rilievo.models.onnx import embedded_file
from rilievo.networks.small import SmallNet
from rilievo.networks.video.depth import EMBEDDED, take_weights
from rilievo.networks.video.networks import VideoNetworks
from rilievo.train.unfold import read_exported


def start_from_embedded(networks: VideoNetworks, name: str) -> None:
    """Fill the depth network with the weights of ``rilievo/small`` or ``rilievo/tiny``.

    Raises:
        OptionError: If the networks have another encoder.
        MissingExtraError: If the package onnx is not installed.
    """
    encoder = name.partition("/")[2]
    if networks.blueprint.encoder != encoder:
        raise OptionError(
            f"a start from '{name}' needs the encoder '{encoder}', got "
            f"'{networks.blueprint.encoder}'"
        )
    whole = SmallNet(EMBEDDED[encoder])
    with needing(f"a start from '{name}'", "train"):
        import onnx  # noqa: F401
    read_exported(whole, embedded_file(name))
    take_weights(networks.depth.encoder, networks.depth.decoder, whole)
