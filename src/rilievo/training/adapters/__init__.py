"""Adapters of torch networks to the interface of models."""
