"""Networks whose features are probed, all behind one call: ``make_backbone``."""

from rilievo.networks.backbones.base import Backbone as Backbone
from rilievo.networks.backbones.base import Looked as Looked
from rilievo.networks.backbones.facts import Facts as Facts
from rilievo.networks.backbones.facts import Layer as Layer
from rilievo.networks.backbones.facts import Normalisation as Normalisation
from rilievo.networks.backbones.facts import Preset as Preset
from rilievo.networks.backbones.making import make_backbone as make_backbone
from rilievo.networks.backbones.own import OwnBackbone as OwnBackbone
from rilievo.networks.backbones.padding import Padding as Padding
from rilievo.networks.backbones.weights import weights_sha256 as weights_sha256
