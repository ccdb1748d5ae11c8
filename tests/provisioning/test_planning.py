"""The planning truth table, row by row, and what a plan promises."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.clock import Clock
from shared.config.applications import Application
from shared.directory.mirror import Presence, UserFacts
from shared.provisioning.accounts import Account, Intent, IntentKind
from shared.provisioning.mapping_source import SourceMapper
from shared.provisioning.planning import Plan, ProvisioningAction, plan_account
from shared.provisioning.standing import judge_standing
from shared.scim.patching import diff
from tests.examples import example_account, example_application, example_facts

MAPPER = SourceMapper(clock=Clock())


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Application:
    return example_application(tmp_path_factory.mktemp("acme"))


def plan(application: Application, account: Account, facts: UserFacts, *, in_doubt: bool = False) -> Plan:
    standing = judge_standing(application, facts, {})
    return plan_account(
        application,
        account,
        standing,
        map_as=lambda soft_deleted: MAPPER.map_source(
            application, facts, roles=standing.roles, soft_deleted=soft_deleted
        ),
        in_doubt=in_doubt,
    )


def sent_state(application: Application, facts: UserFacts) -> dict[str, Any]:
    return dict(plan(application, example_account(), facts).state or {})


ACTIVE = example_facts()
DISABLED = example_facts(Presence.DISABLED, accountEnabled=False)
SOFT_DELETED = example_facts(Presence.SOFT_DELETED)
HARD_DELETED = example_facts(Presence.HARD_DELETED)
UNASSIGNED = example_facts(assigned=False)
UNKNOWN = UserFacts(user=None)


@pytest.mark.parametrize(
    ("facts", "linked", "sent", "action", "reason"),
    [
        pytest.param(ACTIVE, False, None, "create", "new", id="active, no link: create"),
        pytest.param(ACTIVE, True, "equal", "skip", "unchanged", id="active, linked, equal: skip"),
        pytest.param(ACTIVE, True, "other", "update", "attributes_changed", id="active, linked, differs: update"),
        pytest.param(ACTIVE, True, "off", "update", "attributes_changed", id="back again: update"),
        pytest.param(ACTIVE, True, None, "update", "asserted", id="active, linked, sent unknown: assert"),
        pytest.param(UNASSIGNED, True, "equal", "disable", "NotEffectivelyEntitled", id="unassigned, linked: disable"),
        pytest.param(DISABLED, True, "equal", "disable", "source_disabled", id="disabled at the source: disable"),
        pytest.param(SOFT_DELETED, True, "equal", "disable", "source_soft_deleted", id="soft-deleted: disable"),
        pytest.param(UNASSIGNED, True, "off", "skip", "already_disabled", id="already off: skip"),
        pytest.param(HARD_DELETED, True, "equal", "delete", "source_deleted", id="hard-deleted: delete"),
        pytest.param(HARD_DELETED, True, "off", "delete", "source_deleted", id="disabled, then hard-deleted: delete"),
        pytest.param(HARD_DELETED, False, None, "skip", "never_provisioned", id="gone and never here: skip"),
        pytest.param(DISABLED, False, None, "skip", "never_provisioned", id="disabled and never here: not created"),
        pytest.param(UNASSIGNED, False, None, "skip", "never_provisioned", id="unassigned and never here: skip"),
        pytest.param(UNKNOWN, True, "equal", "wait", "source_unknown", id="unknown: wait, whatever is linked"),
        pytest.param(UNKNOWN, False, None, "wait", "source_unknown", id="unknown: wait"),
    ],
)
def test_the_truth_table(
    acme: Application, facts: UserFacts, linked: bool, sent: str | None, action: str, reason: str
) -> None:
    states = {
        "equal": sent_state(acme, ACTIVE),
        "other": {**sent_state(acme, ACTIVE), "displayName": "Somebody Else"},
        "off": {**sent_state(acme, ACTIVE), "active": False},
    }
    account = example_account(target_id="t1" if linked else "", sent=states[sent] if sent else None)

    planned = plan(acme, account, facts)

    assert (planned.action, planned.reason) == (action, reason)


def test_a_leaver_is_only_switched_off_and_nothing_else_is_written(acme: Application) -> None:
    sent = sent_state(acme, ACTIVE)
    leaver = example_facts(Presence.DISABLED, accountEnabled=False, displayName="Renamed On The Way Out")

    planned = plan(acme, example_account(target_id="t1", sent=sent), leaver)

    assert dict(planned.change.set) == {"active": False}
    assert planned.state == {**sent, "active": False}


def test_a_leaver_with_data_the_vendor_would_refuse_still_loses_access(acme: Application) -> None:
    leaver = example_facts(Presence.DISABLED, accountEnabled=False, userPrincipalName=None, displayName=None)

    planned = plan(acme, example_account(target_id="t1", sent={"active": True}), leaver)

    assert planned.action is ProvisioningAction.DISABLE


def test_in_doubt_the_whole_state_is_asserted_even_when_nothing_seems_different(acme: Application) -> None:
    account = example_account(target_id="t1", sent=sent_state(acme, ACTIVE))

    planned = plan(acme, account, ACTIVE, in_doubt=True)

    assert planned.asserts
    assert dict(planned.change.set) == sent_state(acme, ACTIVE)


def test_a_value_that_a_lost_write_may_have_set_is_cleared_when_it_is_no_longer_wanted(acme: Application) -> None:
    intent = Intent(kind=IntentKind.PATCH, paths=("title", "displayName"))
    account = example_account(target_id="t1", sent=sent_state(acme, ACTIVE), intent=intent)

    planned = plan(acme, account, ACTIVE, in_doubt=True)

    assert planned.change.removed == ("title",)


def test_a_disable_whose_state_was_refused_falls_back_to_active_false_alone(acme: Application) -> None:
    account = example_account(
        target_id="t1",
        sent=None,
        tried=example_account().wanted,
        attempts=1,
        error_code="SystemForCrossDomainIdentityManagementBadRequest",
    )

    planned = plan(acme, account, DISABLED, in_doubt=True)

    assert dict(planned.change.set) == {"active": False}
    assert planned.state is None


@pytest.mark.parametrize(
    ("rules", "facts", "action"),
    [
        pytest.param("{out_of_scope: delete}", UNASSIGNED, "delete", id="out of scope may mean delete"),
        pytest.param("{out_of_scope: skip}", UNASSIGNED, "skip", id="out of scope may mean nothing"),
        pytest.param("{hard_deleted: disable}", HARD_DELETED, "disable", id="deleted people may only be disabled"),
        pytest.param("{hard_deleted: skip}", HARD_DELETED, "skip", id="deleted people may be left alone"),
    ],
)
def test_deprovisioning_follows_the_configuration(tmp_path: Path, rules: str, facts: UserFacts, action: str) -> None:
    application = example_application(tmp_path, f"deprovisioning: {rules}")
    account = example_account(target_id="t1", sent={"active": True, "userName": "ada@contoso.example"})

    planned = plan(application, account, facts)

    assert planned.action == action


def test_only_disable_and_delete_need_a_permit(acme: Application) -> None:
    sent = sent_state(acme, ACTIVE)
    planned = {
        facts.presence: plan(acme, example_account(target_id="t1", sent=sent), facts)
        for facts in (ACTIVE, DISABLED, HARD_DELETED)
    }

    assert [entry.is_destructive for entry in planned.values()] == [False, True, True]


attributes = st.fixed_dictionaries(
    {},
    optional={
        "displayName": st.sampled_from(["Ada", "ada", "Ada Lovelace", None]),
        "jobTitle": st.sampled_from(["Engineer", "Analyst", None]),
        "department": st.sampled_from(["Engineering", "Sales", None]),
        "givenName": st.sampled_from(["Ada", None]),
        "mail": st.sampled_from(["ada@contoso.example", "a@contoso.example", None]),
    },
)
presences = st.sampled_from([Presence.ACTIVE, Presence.DISABLED, Presence.SOFT_DELETED])


@given(steps=st.lists(st.tuples(presences, attributes), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_applying_a_plan_and_planning_again_finds_nothing_to_do(
    acme: Application, steps: list[tuple[Presence, dict[str, Any]]]
) -> None:
    account = example_account()
    for presence, changes in steps:
        facts = example_facts(presence, accountEnabled=presence is not Presence.DISABLED, **changes)

        planned = plan(acme, account, facts)
        if planned.writes:
            account = replace(account, target_id="t1", sent=planned.state)
        again = plan(acme, account, facts)

        assert again.action is ProvisioningAction.SKIP
        if planned.action is ProvisioningAction.UPDATE and not planned.asserts:
            assert not diff(account.sent or {}, planned.state or {}, case_exact=lambda _path: True).set
