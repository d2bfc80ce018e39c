"""The port of a service that lives inside `tapes watch`."""

from typing import Protocol


class Resident(Protocol):
    """Started and stopped by the watch; works in threads of its own and never ends the process.

    A resident must bear being cut off at any moment: whoever is not done in time dies with the process.
    """

    name: str

    def start(self) -> None:
        """Begin, and return at once. A TapesError keeps the watch from starting."""
        ...

    def stop(self, seconds_max: float) -> bool:
        """Bring the work to an end, for at most so long; whether it ended."""
        ...
