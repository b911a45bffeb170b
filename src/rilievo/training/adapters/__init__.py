"""Adapters of networks in torch to the interface of models."""
