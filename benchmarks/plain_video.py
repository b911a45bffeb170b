"""Depth of a video by a plain script: ``python -m benchmarks.plain_video NETWORK FOLDER CLIP``."""

from pathlib import Path

import av

from benchmarks.plain import coloured, folder, paths

with av.open(paths[0]) as video, av.open(Path(folder, "depth.mp4"), "w") as written:
    like = video.streams.video[0]
    stream = written.add_stream("libx264", rate=like.average_rate, options={"preset": "veryfast"})
    stream.width, stream.height = like.width, like.height
    for frame in video.decode(video=0):
        written.mux(
            stream.encode(av.VideoFrame.from_image(coloured(frame.to_image()).convert("RGB")))
        )
    written.mux(stream.encode(None))
