"""How long a listener waits before it looks into an empty queue again. Pure: the random numbers come from outside."""

from collections.abc import Callable

MINIMUM_S = 0.1
SPREAD = 0.2


class Backoff:
    """The platform's randomised exponential wait: about 0.1, 0.2, 0.3, 0.5, 0.9, 1.7 ... seconds, up to a ceiling."""

    def __init__(self, ceiling_s: float, random: Callable[[], float]) -> None:
        self._ceiling_s = max(ceiling_s, MINIMUM_S)
        self._random = random
        self._exponent = 0
        self._current_s = MINIMUM_S

    def after_a_find(self) -> None:
        """Starts over: there may be more."""
        self._exponent = 1
        self._current_s = MINIMUM_S

    def after_nothing(self) -> float:
        """Answers with the seconds to wait now, longer each time."""
        if self._current_s < self._ceiling_s:
            wait_s = MINIMUM_S
            if self._exponent > 0:
                factor = 1 - SPREAD + 2 * SPREAD * self._random()
                wait_s += factor * 2 ** (self._exponent - 1) * MINIMUM_S
            self._exponent += 1
            self._current_s = min(wait_s, self._ceiling_s)
        return self._current_s
