"""Strong models published as ONNX files, which the core runs."""
