"""Conversion to ONNX files in our format."""
