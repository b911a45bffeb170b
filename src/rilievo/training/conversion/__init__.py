"""Conversion of other networks to ONNX files in our format."""
