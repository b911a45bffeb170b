"""Models of services that charge for each call, limited to the calls that the user agreed to."""

from abc import abstractmethod

from rilievo.models.base import Model


class PaidModel(Model):
    """A model that sends each photograph to a service as a paid call."""

    service: str
    """Name of the service that is paid."""

    @abstractmethod
    def allow(self, calls: int) -> None:
        """Allow this many more calls, to which the user has agreed."""
