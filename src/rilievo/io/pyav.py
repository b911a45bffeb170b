"""PyAV, which reads and writes videos: the extra ``video``. Every module imports it from here.

It is no part of the core, as its wheel has 104 MB and carries codecs under the GPL.
"""

from rilievo.errors import needing

with needing("reading or writing a video", "video"):
    import av
    from av import Packet, VideoFrame
    from av.container import InputContainer, OutputContainer
    from av.error import EOFError as EndOfVideo
    from av.error import FFmpegError
    from av.stream import Disposition, Stream
    from av.video.reformatter import ColorRange, Colorspace
    from av.video.stream import VideoStream

__all__ = [
    "ColorRange",
    "Colorspace",
    "Disposition",
    "EndOfVideo",
    "FFmpegError",
    "InputContainer",
    "OutputContainer",
    "Packet",
    "Stream",
    "VideoFrame",
    "VideoStream",
    "av",
]
