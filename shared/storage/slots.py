"""How far apart slots must lie so that no sliding second holds more than the limit. Pure.

Slots of one application lie at least `spacing` apart, on one grid that all workers share, because the limiter row hands
out each once. A request leaves in its slot: not before it and at most `LATENESS_S` after it, read from a clock that is
at most `SKEW_S` off. In true time it leaves in [slot - SKEW_S, slot + LATENESS_S + SKEW_S].

So requests that leave within T seconds have slots within less than T + d seconds, d = LATENESS_S + 2 * SKEW_S. n slots
span (n - 1) * spacing, hence (n - 1) * spacing < T + d. With spacing = (1 + d) / L:

    n < 1 + L * (T + d) / (1 + d) <= 1 + L * T    for T >= 1

n is a whole number, so n <= L in one second when L is whole, and n <= L * T in every longer time that allows a whole
number of requests: 2.5 a second are never more than 5 in two seconds, nor 150 in a minute. Nothing smaller will do:
L + 1 slots that lie closer than (1 + d) / L can leave within one second, the first late by a slow clock and the last
early by a fast one. For L < 1 the time that allows one request is 1 / L, and the same argument asks for 1 / L + d.

What remains usable is 1 / (1 + d) of the limit. Both constants are therefore small, and what they exclude is cheap: a
sleeper that wakes later loses its slot, a clock that is further off is corrected (`service_clock`).
The promise is about the instant a request is handed to its connection; the network may still bunch arrivals.
"""

from __future__ import annotations

import math
from datetime import timedelta

SKEW_S = 0.005
"""How far a clock that slots are read from may be off, either way."""

LATENESS_S = 0.015
"""How long after its beginning a slot may still be used: what a busy event loop needs to wake a sleeper."""


def spacing_of(rate: float) -> timedelta:
    """The time between two slots of a vendor that takes `rate` requests a second, rounded up to a microsecond."""
    tolerance_s = LATENESS_S + 2 * SKEW_S
    seconds = 1 / rate + tolerance_s / max(1.0, rate)
    return timedelta(microseconds=math.ceil(round(seconds * 1_000_000, 3)))
