"""Tests of the live page are left out where its extra is not installed."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("starlette") else ["test_*.py"]
