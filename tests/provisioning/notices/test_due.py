"""What is due follows from what is and what was told, and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.provisioning.applications_state import ApplicationStatus, StatusChange
from shared.provisioning.notices.due import Facts, HeldList, Marks, expiry_step, find_due
from shared.provisioning.notices.notice import Notice, NoticeType, describe, render_body

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
ACTIVE, PAUSED, QUARANTINE = ApplicationStatus.ACTIVE, ApplicationStatus.PAUSED, ApplicationStatus.QUARANTINE


def history(*steps: tuple[ApplicationStatus, str]) -> tuple[StatusChange, ...]:
    """Oldest first as written here, newest first as kept."""
    changes = [
        StatusChange(at=NOW + timedelta(minutes=at), status=status, reason=reason, detail="the vendor's words")
        for at, (status, reason) in enumerate(steps)
    ]
    return tuple(reversed(changes))


def facts(
    changes: Sequence[StatusChange] = (), *, held: HeldList | None = None, expires_on: date | None = None, day: int = 0
) -> Facts:
    return Facts(application="acme", now=NOW + timedelta(days=day), history=changes, held=held, expires_on=expires_on)


def lines(due: Sequence[Notice]) -> list[str]:
    return [f"{each.type} {' '.join(str(value) for value in each.data.values())}".strip() for each in due]


def up_to(changes: Sequence[StatusChange]) -> Marks:
    """Everything of this history was told."""
    return find_due(facts(changes), Marks())[1]


QUARANTINED = history((QUARANTINE, "Unauthorized"))
WORSE = history((QUARANTINE, "Unauthorized"), (QUARANTINE, "WrongEndpoint"))
OVER = history((QUARANTINE, "Unauthorized"), (QUARANTINE, "WrongEndpoint"), (ACTIVE, ""))
STOPPED = history((QUARANTINE, "Unauthorized"), (PAUSED, "PausedByPerson"), (ACTIVE, ""))


@pytest.mark.parametrize(
    ("marks", "changes", "expected"),
    [
        pytest.param(Marks(), (), [], id="nothing ever happened"),
        pytest.param(Marks(), QUARANTINED, ["application.quarantined Unauthorized"], id="a quarantine began"),
        pytest.param(up_to(QUARANTINED), QUARANTINED, [], id="it was told"),
        pytest.param(
            up_to(QUARANTINED), WORSE, ["application.quarantined WrongEndpoint Unauthorized"], id="its reason changed"
        ),
        pytest.param(up_to(WORSE), OVER, ["application.resumed WrongEndpoint"], id="it ended"),
        pytest.param(
            Marks(),
            OVER,
            [
                "application.quarantined Unauthorized",
                "application.quarantined WrongEndpoint Unauthorized",
                "application.resumed WrongEndpoint",
            ],
            id="it began, changed and ended while nobody looked",
        ),
        pytest.param(
            up_to(QUARANTINED),
            STOPPED,
            ["application.paused PausedByPerson", "application.resumed PausedByPerson"],
            id="a person paused and resumed it",
        ),
        pytest.param(None, QUARANTINED, ["application.quarantined Unauthorized"], id="first look: what stands is told"),
        pytest.param(None, OVER, [], id="first look: what is over is not"),
        pytest.param(
            Marks(status="2026-01-01T00:00:00.000000Z Active "),
            WORSE,
            ["application.quarantined Unauthorized", "application.quarantined WrongEndpoint Unauthorized"],
            id="what was told last is no longer in the history",
        ),
        pytest.param(up_to(OVER), (), [], id="the history cannot be read"),
    ],
)
def test_changes_of_status_are_told_in_their_order(
    marks: Marks | None, changes: Sequence[StatusChange], expected: list[str]
) -> None:
    due, after = find_due(facts(changes), marks)

    assert lines(due) == expected
    assert find_due(facts(changes), after) == ((), after)


def test_a_worker_whose_clock_is_slow_is_not_overlooked() -> None:
    told = history((QUARANTINE, "Unauthorized"))
    early = StatusChange(at=NOW - timedelta(hours=1), status=ACTIVE, reason="", detail="")

    due, _ = find_due(facts((early, *told)), up_to(told))

    assert lines(due) == ["application.resumed Unauthorized"]


@pytest.mark.parametrize(
    ("mark", "held", "expected", "after"),
    [
        pytest.param("", None, [], "", id="nobody is held"),
        pytest.param("", ("5", "3"), ["deletions.held 5 2"], "5", id="a hold begins"),
        pytest.param("5", ("5", "3"), [], "5", id="it stands"),
        pytest.param("5", ("9", "3"), [], "5", id="it grows"),
        pytest.param("5", None, ["deletions.settled 5"], "", id="it ends"),
        pytest.param("5", ("9", "7"), ["deletions.settled 5", "deletions.held 9 2"], "9", id="another one begins"),
    ],
)
def test_a_hold_is_told_when_it_begins_and_when_its_list_is_settled(
    mark: str, held: tuple[str, str] | None, expected: list[str], after: str
) -> None:
    stands = HeldList(list_number=held[0], lowest=held[1], count=2) if held else None

    due, marks = find_due(facts(held=stands), Marks(hold=mark))

    assert (lines(due), marks.hold) == (expected, after)


@pytest.mark.parametrize(
    ("days", "step"),
    [(31, None), (30, 30), (15, 30), (14, 14), (8, 14), (7, 7), (3, 3), (2, 3), (1, 1), (0, 0), (-1, -1), (-40, -40)],
)
def test_an_expiry_has_steps_before_its_day_and_is_daily_afterwards(days: int, step: int | None) -> None:
    assert expiry_step(days) == step


def test_a_credential_is_told_once_per_step_and_daily_once_it_ended() -> None:
    told: list[str] = []
    marks: Marks | None = None
    for day in range(-40, 4):
        due, marks = find_due(facts(expires_on=NOW.date(), day=day), marks)
        told += [f"{each.type} {each.data['days']}" for each in due]

    assert told == [
        *[f"credential.expiring {days}" for days in (30, 14, 7, 3, 1, 0)],
        *[f"credential.expired {days}" for days in (-1, -2, -3)],
    ]


def test_a_renewed_credential_starts_anew_and_one_without_a_day_says_nothing() -> None:
    _, marks = find_due(facts(expires_on=NOW.date()), Marks())
    renewed, marks = find_due(facts(expires_on=NOW.date() + timedelta(days=365)), marks)
    forgotten, marks = find_due(facts(), marks)
    again, _ = find_due(facts(expires_on=NOW.date()), marks)

    assert (renewed, forgotten) == ((), ())
    assert lines(again) == ["credential.expiring 0 2026-11-21"]


changes_of_status = st.lists(
    st.tuples(st.sampled_from(list(ApplicationStatus)), st.sampled_from(["Unauthorized", "WrongEndpoint", ""])),
    max_size=12,
)


@given(steps=changes_of_status, looks=st.sets(st.integers(0, 12)))
def test_however_often_somebody_looks_every_change_is_told_once_and_in_order(
    steps: list[tuple[ApplicationStatus, str]], looks: set[int]
) -> None:
    whole = history(*steps)
    told: list[Notice] = []
    marks = Marks()
    for length in [*sorted(look for look in looks if look < len(steps)), len(steps)]:
        due, marks = find_due(facts(history(*steps[:length])), marks)
        told += due

    assert [each.at for each in told] == [change.at for change in reversed(whole)]
    assert len({each.id for each in told}) == len(told)
    assert [each.id for each in find_due(facts(whole), Marks())[0]] == [each.id for each in told]


def test_a_notice_holds_no_words_of_the_vendor_and_says_what_it_is_about() -> None:
    due, _ = find_due(facts(OVER, held=HeldList(list_number="5", lowest="3", count=1)), Marks())

    bodies = b"".join(render_body(each, link="https://app.example/acme") for each in due)
    assert b"the vendor's words" not in bodies
    assert bodies.count(b'"link":"https://app.example/acme"') == len(due)
    assert [describe(each) for each in due] == [
        "acme is quarantined: Unauthorized. Nothing is written to it until a probe succeeds.",
        "acme is still quarantined, now because of WrongEndpoint (before: Unauthorized).",
        "acme goes on, after WrongEndpoint.",
        "acme: 1 account would lose access or members, more than the deletion guard allows. Approve or reject list 5; "
        "everything else goes on.",
    ]
    assert {each.type for each in due} == {NoticeType.QUARANTINED, NoticeType.RESUMED, NoticeType.HELD}
