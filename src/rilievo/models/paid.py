"""Models elsewhere whose answers cost money: no more calls than the user agreed to."""

from abc import abstractmethod

from rilievo.models.base import Model


class PaidModel(Model):
    """A model that sends photographs to a service, each as a call that is paid."""

    service: str
    """Who is paid, in words."""

    @abstractmethod
    def allow(self, calls: int) -> None:
        """Let it send so many photographs from now on; the user has agreed."""
