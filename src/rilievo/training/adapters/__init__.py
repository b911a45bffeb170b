"""Adapters of torch networks to models."""
