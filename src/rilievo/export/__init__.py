"""Models as ONNX files: ``run`` does the work, ``options`` says how."""
