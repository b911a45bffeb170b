"""Fixtures of the lab's tests."""

pytest_plugins = ("shared_fixtures",)
