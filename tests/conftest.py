"""Fixtures of the product's tests."""

pytest_plugins = ("shared_fixtures", "tiny_networks", "replicate_calls")
