"""Depth of one photograph as one gets it from transformers, the shortest way.

Usage: python benchmarks/transformers_depth.py MODEL PHOTO PICTURE
"""

import sys

from transformers import pipeline

model, photo, picture = sys.argv[1:]
pipeline("depth-estimation", model=model)(photo)["depth"].save(picture)
