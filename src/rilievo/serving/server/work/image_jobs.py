"""Jobs of requests that bring an image."""

from dataclasses import dataclass

from rilievo.models.base import Inference
from rilievo.serving.listener.work.jobs import RequestJob
from rilievo.serving.server.requests.uploads import Upload


@dataclass(slots=True, kw_only=True)
class ImageJob(RequestJob):
    """One request at work on an image.

    Attributes:
        upload: Image and form; closed when the work ends, if not before.
        inference: Answer of the network; one that is known already is not asked for again.
    """

    upload: Upload
    inference: Inference | None = None

    def close(self) -> None:
        """Remove the image."""
        self.upload.close()
