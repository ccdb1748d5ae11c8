"""The spacing of slots, for every rate: enough in the worst case, and not more than that."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from shared.storage.slots import LATENESS_S, SKEW_S, spacing_of

RATES = st.one_of(
    st.sampled_from([0.1, 1 / 6, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 99.9, 100.0, 333.0]),
    st.floats(min_value=0.01, max_value=500.0),
)
EARLY_S, LATE_S = SKEW_S, LATENESS_S + SKEW_S


@given(rate=RATES, seconds=st.integers(min_value=1, max_value=120))
def test_the_worst_case_never_holds_more_than_the_limit_allows(rate: float, seconds: int) -> None:
    window = max(float(seconds), 1 / rate)
    allowed = math.ceil(round(rate * window, 6))

    # The first leaves as late and the last as early as a send can: the closest that so many can come.
    closest = allowed * spacing_of(rate).total_seconds() - LATE_S - EARLY_S

    assert closest >= window - 1e-9


@given(rate=st.integers(min_value=1, max_value=500))
def test_slots_any_closer_would_break_the_limit(rate: int) -> None:
    spacing_s = spacing_of(rate).total_seconds() - 2e-6

    assert rate * spacing_s - LATE_S - EARLY_S < 1.0


@given(rate=st.floats(min_value=1.0, max_value=500.0))
def test_what_remains_usable_is_the_same_share_of_every_limit(rate: float) -> None:
    assert 1 / spacing_of(rate).total_seconds() / rate >= 0.97
