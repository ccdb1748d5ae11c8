"""Which secrets a vendor refused while another one is tried in their place: what a rotation looks like from here.

Kept in the memory of a process, and told once by each: nothing is written between a refusal and the next attempt.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.telemetry import Event, emit


@dataclass(frozen=True, slots=True)
class RefusedSecret:
    """A secret that was refused. Both are names of settings."""

    setting: str
    instead: str
    """The one that is tried from then on."""


class RefusedSecrets:
    """The last change of secrets of every application. One instance per process."""

    def __init__(self) -> None:
        self._known: dict[str, RefusedSecret] = {}

    def note(self, application: str, setting: str, instead: str) -> None:
        """The vendor refused one secret, and another one is tried; the same again is no news, and is not told."""
        refused = RefusedSecret(setting, instead)
        if self._known.get(application) != refused:
            self._known[application] = refused
            emit(Event.CREDENTIAL_REFUSED, application=application, setting=setting, instead=instead)

    def of(self, application: str) -> RefusedSecret | None:
        """What was noted last; None: nothing was refused in this process."""
        return self._known.get(application)
