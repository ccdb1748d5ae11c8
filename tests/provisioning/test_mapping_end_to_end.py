"""What an administrator writes into a mapping or a filter, followed to the account at the vendor and back out again."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import Any

import pytest

from shared.provisioning.accounts import AccountState
from shared.scim.error_catalogue import ErrorCode
from tests.provisioning.stories import Scenery, Stage, open_stage

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


@asynccontextmanager
async def open_application(azurite: str, more: str):
    async with open_stage(azurite, Scenery(more=more)) as stage:
        yield stage


async def account_of(stage: Stage, user_id: str) -> dict[str, Any]:
    account = await stage.account(user_id)
    assert account.state is AccountState.IN_SYNC, (account.state, account.error)
    return stage.resource(account.target_id) or {}


async def changed(stage: Stage, user_id: str, **properties: Any) -> dict[str, Any]:
    stage.tenant.update(user_id, **properties)
    await stage.settle()
    return await account_of(stage, user_id)


def writes(stage: Stage) -> list[str]:
    return [entry.method for entry in stage.acme.journal if entry.method != "GET"]


async def test_direct_constant_expression_and_untouched_targets(azurite: str) -> None:
    more = """
    mappings:
      users:
        - {target: title, source: jobTitle}
        - {target: userType, constant: Employee}
        - {target: nickName, expression: 'ToUpper(Left([givenName], 1))'}
        - {target: locale, none: true}
    """
    async with open_application(azurite, more) as stage:
        user_id = await stage.provisioned(jobTitle="Pilot", givenName="ada")

        created = await account_of(stage, user_id)

        assert (created["title"], created["userType"], created["nickName"]) == ("Pilot", "Employee", "A")
        assert "locale" not in created


async def test_a_default_is_for_the_create_and_a_value_that_becomes_empty_is_removed_all_the_same(azurite: str) -> None:
    more = """
    mappings:
      users:
        - {target: title, source: jobTitle, default: Newcomer}
        - {target: locale, none: true, default: en-IE}
    """
    async with open_application(azurite, more) as stage:
        user_id = await stage.provisioned(jobTitle=None)
        created = await account_of(stage, user_id)

        promoted = await changed(stage, user_id, jobTitle="Pilot")
        emptied = await changed(stage, user_id, jobTitle=None, department="Air")

        assert (created["title"], created["locale"]) == ("Newcomer", "en-IE")
        assert promoted["title"] == "Pilot"
        assert "title" not in emptied
        assert emptied["locale"] == "en-IE"


async def test_what_is_applied_on_create_stays_as_it_was(azurite: str) -> None:
    more = """
    mappings:
      users:
        - {target: title, source: jobTitle}
        - {target: nickName, expression: 'ToLower([jobTitle])', apply: on_create}
    """
    async with open_application(azurite, more) as stage:
        user_id = await stage.provisioned(jobTitle="Pilot")

        later = await changed(stage, user_id, jobTitle="Captain")

        assert (later["title"], later["nickName"]) == ("Captain", "pilot")


async def test_matching_attributes_are_tried_in_order_and_the_source_may_be_an_expression(azurite: str) -> None:
    more = """
    mappings:
      users:
        - {target: externalId, expression: 'Append("E-", [employeeId])'}
    matching: {users: [{target: externalId}, {target: userName}]}
    """
    async with open_application(azurite, more) as stage:
        by_number, by_name = stage.acme.seed(
            [{"userName": "old@contoso.example", "externalId": "E-42"}, {"userName": "bea@contoso.example"}]
        )
        numbered = stage.hire(userPrincipalName="ann@contoso.example", employeeId="42")
        named = stage.hire(userPrincipalName="bea@contoso.example", employeeId="43")
        fresh = stage.hire(userPrincipalName="cat@contoso.example", employeeId="44")

        await stage.settle()

        assert (await stage.account(numbered)).target_id == by_number
        assert (await stage.account(named)).target_id == by_name
        assert (await account_of(stage, fresh))["externalId"] == "E-44"
        assert (await account_of(stage, numbered))["userName"] == "ann@contoso.example"
        assert len(stage.acme.resources()) == 3


async def test_who_lacks_a_required_value_waits_in_escrow_until_it_is_there(azurite: str) -> None:
    more = """
    attributes: {users: [{path: title, required: true}]}
    mappings: {users: [{target: title, source: jobTitle}]}
    """
    async with open_application(azurite, more) as stage:
        lacking = stage.hire(jobTitle=None)
        complete = stage.hire(jobTitle="Pilot")
        await stage.settle()
        waiting = await stage.account(lacking)

        filled = await changed(stage, lacking, jobTitle="Captain")

        assert (waiting.state, waiting.error_code) == (AccountState.ESCROWED, ErrorCode.MISSING_VALUES)
        assert "title" in str(waiting.error)
        assert filled["title"] == "Captain"
        assert (await account_of(stage, complete))["title"] == "Pilot"


async def test_a_change_of_case_flows_unless_the_mapping_says_that_case_does_not_matter(azurite: str) -> None:
    more = """
    mappings:
      users:
        - {target: title, source: jobTitle, case_exact: false}
        - {target: nickName, source: department}
    """
    async with open_application(azurite, more) as stage:
        user_id = await stage.provisioned(jobTitle="pilot", department="air")
        before = len(writes(stage))

        ignored = await changed(stage, user_id, jobTitle="PILOT")
        unwritten = len(writes(stage))
        followed = await changed(stage, user_id, department="AIR")

        assert (ignored["title"], unwritten) == ("pilot", before)
        assert followed["nickName"] == "AIR"


async def test_several_values_at_the_source_become_one_value_or_many_typed_ones(azurite: str) -> None:
    more = """
    mappings:
      users:
        - {target: 'phoneNumbers[type eq "work"].value', source: businessPhones}
        - {target: 'emails[type eq "home"].value', expression: 'Item([otherMails], 2)'}
        - {target: nickName, expression: 'Join(";", [otherMails])'}
    """
    async with open_application(azurite, more) as stage:
        user_id = await stage.provisioned(businessPhones=["+1 555 0100"], otherMails=["a@x.example", "b@x.example"])

        created = await account_of(stage, user_id)
        moved = await changed(stage, user_id, otherMails=["a@x.example", "c@x.example"])

        assert [(phone["type"], phone["value"]) for phone in created["phoneNumbers"] if phone["type"] == "work"] == [
            ("work", "+1 555 0100")
        ]
        assert created["nickName"] == "a@x.example;b@x.example"
        assert {mail["type"]: mail["value"] for mail in moved["emails"]}["home"] == "c@x.example"
        assert len([mail for mail in moved["emails"] if mail["type"] == "home"]) == 1


@pytest.mark.parametrize(
    ("expression", "left"),
    [
        pytest.param("AssertiveAppRoleAssignmentsComplex", {"User"}, id="asserted roles are taken away"),
        pytest.param("AppRoleAssignmentsComplex", {"User", "Admin"}, id="added roles stay"),
    ],
)
async def test_a_role_that_is_gone_in_the_directory(azurite: str, expression: str, left: set[str]) -> None:
    more = f"mappings: {{users: [{{target: roles, expression: '{expression}([appRoleAssignments])'}}]}}"
    async with open_application(azurite, more) as stage:
        user_id = stage.hire()
        admin = stage.tenant.role_id_of(stage.service_principal, "Admin")
        stage.tenant.assign(stage.service_principal, user_id, admin)
        await stage.settle()
        both = {role["value"] for role in (await account_of(stage, user_id))["roles"]}

        stage.tenant.unassign(stage.service_principal, user_id, admin)
        for _ in range(3):
            await stage.sync()
            await stage.pass_time(301)
        await stage.settle()

        assert both == {"User", "Admin"}
        assert {role["value"] for role in (await account_of(stage, user_id))["roles"]} == left
        assert stage.acme.violations == []


async def test_one_role_goes_to_the_primary_element(azurite: str) -> None:
    more = """
    mappings:
      users:
        - {target: 'roles[primary eq "True"].value', expression: 'SingleAppRoleAssignment([appRoleAssignments])'}
    """
    async with open_application(azurite, more) as stage:
        user_id = await stage.provisioned()

        created = await account_of(stage, user_id)

        assert [(role["value"], role["primary"]) for role in created["roles"]] == [("User", True)]


async def test_what_is_emptied_at_the_source_is_removed_at_the_vendor_unless_the_mapping_keeps_it(azurite: str) -> None:
    more = """
    mappings:
      users:
        - {target: title, source: jobTitle}
        - {target: nickName, source: city, clear_when_empty: false}
    """
    async with open_application(azurite, more) as stage:
        user_id = await stage.provisioned(
            jobTitle="Pilot",
            city="Cork",
            department="Air",
            mobilePhone="+353 1",
            streetAddress="Quay 1",
            faxNumber="+353 2",
        )
        full = await account_of(stage, user_id)

        emptied = await changed(
            stage, user_id, jobTitle=None, city=None, department=None, mobilePhone=None, streetAddress=None
        )

        assert full[ENTERPRISE]["department"] == "Air"
        assert "title" not in emptied
        assert emptied["nickName"] == "Cork"
        assert "department" not in emptied.get(ENTERPRISE, {})
        assert {phone["type"] for phone in emptied["phoneNumbers"]} & {"mobile", "fax"} == {"fax"}
        assert "streetAddress" not in emptied.get("addresses", [{}])[0]
        assert stage.acme.violations == []


async def test_an_extension_is_declared_only_when_something_of_it_is_sent(azurite: str) -> None:
    async with open_application(azurite, "") as stage:
        bare = await stage.provisioned(department=None, employeeId=None)
        rich = await stage.provisioned(department="Air")

        creates = {entry.body["userName"]: entry.body for entry in stage.acme.journal if entry.method == "POST"}
        body_of_bare = creates[stage.tenant.user(bare)["userPrincipalName"]]
        body_of_rich = creates[stage.tenant.user(rich)["userPrincipalName"]]

        assert ENTERPRISE not in body_of_bare["schemas"]
        assert ENTERPRISE in body_of_rich["schemas"]
        assert body_of_rich[ENTERPRISE]["department"] == "Air"


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        pytest.param('IIF([jobTitle]="Ghost", Error("refused"), [jobTitle])', "Ghost", id="an Error"),
        pytest.param('Replace([jobTitle], , "(G|GG)+$", , "x", , )', "G" * 60 + "!", id="a pattern without end"),
    ],
)
async def test_an_expression_that_fails_for_one_harms_nobody_else(azurite: str, expression: str, value: str) -> None:
    more = f"mappings: {{users: [{{target: title, expression: '{expression}'}}]}}"
    async with open_application(azurite, more) as stage:
        bad = stage.hire(jobTitle=value)
        good = stage.hire(jobTitle="Pilot")

        await stage.settle()

        failed = await stage.account(bad)
        assert failed.state is AccountState.ESCROWED
        assert "title" in str(failed.error)
        assert value not in str(failed.error)
        assert (await account_of(stage, good))["title"] == "Pilot"


PEOPLE = {
    "ann": {"department": "Air", "employeeId": "7", "otherMails": ["a@in.example", "a@out.example"]},
    "bob": {"department": "Sea", "employeeId": "70", "otherMails": ["b@in.example"]},
    "cat": {"department": None, "employeeId": None, "otherMails": []},
}
DATES = {"ann": "2020-01-01T00:00:00Z", "bob": "2026-06-01T00:00:00Z", "cat": None}


@pytest.mark.parametrize(
    ("clause", "inside"),
    [
        pytest.param("{attribute: department, operator: EQUALS, value: Air}", "ann", id="equals"),
        pytest.param("{attribute: department, operator: NOT EQUALS, value: Air}", "bob", id="not equals, never null"),
        pytest.param("{attribute: department, operator: IS NULL}", "cat", id="is null"),
        pytest.param("{attribute: department, operator: REGEX MATCH, value: '^(Air|Sea)$'}", "ann bob", id="pattern"),
        pytest.param("{attribute: employeeId, operator: GREATER THAN, value: 9}", "bob", id="greater, as numbers"),
        pytest.param("{attribute: otherMails, operator: ENDS WITH, value: '@in.example'}", "ann bob", id="any value"),
        pytest.param(
            "{attribute: otherMails, operator: ENDS WITH, value: '@in.example', match: all}", "bob", id="all values"
        ),
        pytest.param(
            "{attribute: employeeHireDate, operator: GREATER THAN, value: '2025-01-01'}", "bob", id="a later day"
        ),
    ],
)
async def test_a_scoping_filter_decides_who_has_an_account(azurite: str, clause: str, inside: str) -> None:
    async with open_application(azurite, f"scoping_filters: [{{name: f, clauses: [{clause}]}}]") as stage:
        for name, properties in PEOPLE.items():
            stage.hire(userPrincipalName=f"{name}@contoso.example", employeeHireDate=DATES[name], **properties)

        await stage.settle()

        assert stage.world.active("acme") == {f"{name}@contoso.example" for name in inside.split()}


async def test_who_falls_out_of_a_filter_is_disabled_and_comes_back_to_the_same_account(azurite: str) -> None:
    more = """
    scoping_filters:
      - name: flyers
        clauses: [{attribute: department, operator: EQUALS, value: Air}, {attribute: city, operator: IS NOT NULL}]
      - {name: chiefs, clauses: [{attribute: jobTitle, operator: STARTS WITH, value: Chief}]}
    """
    async with open_application(azurite, more) as stage:
        user_id = await stage.provisioned(department="Air", city="Cork", jobTitle="Pilot")
        first = await stage.account(user_id)
        stage.tenant.update(user_id, department="Sea")
        await stage.settle()
        outside = await stage.account(user_id)
        resource_outside = stage.resource(outside.target_id)

        back = await changed(stage, user_id, jobTitle="Chief Pilot")

        assert outside.state is AccountState.DISABLED
        assert resource_outside is not None
        assert resource_outside["active"] is False
        assert (back["id"], back["active"]) == (first.target_id, True)
