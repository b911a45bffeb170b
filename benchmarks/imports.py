"""Frameworks that a command of rilievo loads; run as a separate process.

Usage: python -m benchmarks.imports ARGUMENT...
"""

import json
import sys

from rilievo.cli import main

FRAMEWORKS = ("torch", "transformers", "numba", "cv2", "scipy", "openvino", "trimesh", "av", "tqdm")

if __name__ == "__main__":
    code = main(sys.argv[1:])
    print(json.dumps([name for name in FRAMEWORKS if name in sys.modules]))
    sys.exit(code)
