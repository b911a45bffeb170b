"""Loading of models, and the table of known ones."""

from rilievo.models.finding import DEFAULT_MODEL as DEFAULT_MODEL
from rilievo.models.finding import FAST_MODEL as FAST_MODEL
from rilievo.models.finding import MODELS as MODELS
from rilievo.models.finding import find_card as find_card
from rilievo.models.finding import is_listed_name as is_listed_name
from rilievo.models.finding import is_paid_name as is_paid_name
from rilievo.models.finding import is_single_network as is_single_network
from rilievo.models.finding import load_model as load_model
from rilievo.models.kept_model import last_model as last_model
from rilievo.models.kept_model import unload_model as unload_model
from rilievo.models.load_options import read_kind as read_kind
