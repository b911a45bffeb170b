"""Strong models published as ONNX files, run by the core alone: table, download, adapters."""
