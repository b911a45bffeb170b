"""Fixtures of the lab's tests."""

pytest_plugins = ("support.shared_fixtures",)
