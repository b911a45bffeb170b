"""Networks of other kinds as ONNX files that keep the contract of ``rilievo.models.onnx``."""
