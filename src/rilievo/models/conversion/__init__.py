"""Conversion of other networks to ONNX files in the format of ``rilievo.models.onnx``."""
