"""Limits of servers that are no options: what no operator has a reason to change."""

from dataclasses import field

from rilievo.cores import cores
from rilievo.frozen import frozen


@frozen
class ServerLimits:
    """Numbers that keep one client from holding a server.

    Attributes:
        connections: Open connections of one address; those of proxies are not counted.
        queue: Requests that wait; more are refused with status 429.
        uploads: Bodies that arrive at the same time; one client has at most a quarter. The slowest
            one gives its place to a newcomer.
        upload_seconds: Time in which a request arrives completely.
        download_seconds: Time in which a client takes an answer.
        streams: Open WebSocket streams; one client has at most half.
        batch: Photographs of one size that go through the network together; one on a processor.
        batch_seconds: Time that the network waits for other photographs of a batch.
        workers: Threads that decode photographs, and as many that write results.
        disk_megabytes: Disk space for requests and answers; one client has at most half.
        video_frames: Frames of a video.
        video_seconds: Time after which work on a video stops.
        result_megabytes: Disk space for results; one visitor has at most half.
    """

    connections: int = 64
    queue: int = 64
    uploads: int = 256
    upload_seconds: float = 30.0
    download_seconds: float = 600.0
    streams: int = 8
    batch: int = 8
    batch_seconds: float = 0.005
    workers: int = field(default_factory=cores)
    disk_megabytes: float = 5000.0
    video_frames: int = 1800
    video_seconds: float = 900.0
    result_megabytes: float = 2000.0
