"""Correspondence between two views, from the features of frozen backbones."""
