"""One photograph by a bare engine, the whole process.

Usage: python -m benchmarks.bare_cold RECIPE GRAPH ENGINE PRECISION CACHE PHOTO
"""

import sys

from benchmarks.bare_graph import RECIPES, opened

name, graph, engine, precision, cache, photo = sys.argv[1:]
opened(graph, engine, precision, cache)(RECIPES[name].feed(photo))
