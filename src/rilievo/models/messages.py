"""One-line summaries of error messages from libraries."""


def first_line(error: Exception) -> str:
    """The first informative line of a library's message, shortened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # OpenVINO begins with a position in its own source.
    lines = [line for line in lines if not line.startswith("Exception from")] or lines
    lines = lines or [type(error).__name__]
    # ONNX Runtime repeats the path, which may be longer than the limit.
    lines[0] = lines[0].rpartition(" failed:")[2] if "Load model from " in lines[0] else lines[0]
    # transformers states the place in the first line and the cause in the second.
    text = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return text[:200]
