"""Export of models to ONNX files: ``run`` does the work, ``options`` has the options."""
