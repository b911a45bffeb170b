"""Options of commands that requests do not have, because they are about depth files.

A request has one file, the photograph. Depth maps and sensor depth are measured where their files
are.
"""

from functools import cache

from rilievo.options.known_sizes import KnownSizes
from rilievo.options.photo_options import DepthFile
from rilievo.schema.fields import Interface, option_names

ELSEWHERE = (
    "the server does not accept depth maps or sensor maps; use them locally with 'rilievo measure "
    "--depth' or '--sparse', or with rilievo.Prediction.from_depth"
)


@cache
def depth_option_names() -> frozenset[str]:
    """Names of the options about depth maps and sensors."""
    local_sizes = {*option_names(KnownSizes, Interface.LOCAL)} - {
        *option_names(KnownSizes, Interface.HTTP)
    }
    return frozenset((*option_names(DepthFile, Interface.COMMAND), *local_sizes))
