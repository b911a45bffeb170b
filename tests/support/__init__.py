"""Helpers of tests: scenes, files, servers and small models that several tests share."""
