"""Conversion of other networks to ONNX files in our format (``models.onnx_files.onnx_model``)."""
