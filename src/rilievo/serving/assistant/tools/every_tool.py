"""The table of tools."""

from rilievo.serving.assistant.tools.depth_tool import DEPTH
from rilievo.serving.assistant.tools.describe_tool import DESCRIBE
from rilievo.serving.assistant.tools.known_tool import KNOWN
from rilievo.serving.assistant.tools.measure_tool import MEASURE
from rilievo.serving.assistant.tools.regions_tool import REGIONS
from rilievo.serving.assistant.tools.surface_tool import SURFACE
from rilievo.serving.assistant.tools.tool import AnyTool

TOOLS: tuple[AnyTool, ...] = (DESCRIBE, MEASURE, REGIONS, KNOWN, DEPTH, SURFACE)
"""Tools in the order in which an assistant reads them."""
