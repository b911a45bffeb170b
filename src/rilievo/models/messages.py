"""What libraries say of a failure, brought to one line."""


def first_line(error: Exception) -> str:
    """The first line of a library's message that says something, short enough to read."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # OpenVINO says first in which of its own source files it was.
    lines = [line for line in lines if not line.startswith("Exception from")] or lines
    lines = lines or [type(error).__name__]
    # ONNX Runtime repeats the path, which may be longer than what is shown.
    lines[0] = lines[0].rpartition(" failed:")[2] if "Load model from " in lines[0] else lines[0]
    # transformers says in the first where, and in the second what.
    text = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return text[:200]
