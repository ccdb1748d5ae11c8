"""The synthetic tenant: the same for the same seed, full of people who are hard to provision, honest about changes."""

import pytest

from tests.simulation.graph.changes import Event
from tests.simulation.graph.people import Oddity, oddity_of
from tests.simulation.tenant import DEFAULT_ACCESS, NotInTenantError, Tenant


@pytest.fixture
def tenant() -> Tenant:
    return Tenant(7, 60)


def entitled(tenant: Tenant, application: str, *, exclude_default_access: bool = True) -> dict[str, frozenset[str]]:
    return tenant.effective_users(
        tenant.service_principal_id_of(application), exclude_default_access=exclude_default_access
    )


def test_the_same_seed_and_the_same_changes_give_the_same_tenant():
    first, second = Tenant(3, 40), Tenant(3, 40)

    for tenant in (first, second):
        hired = tenant.hire(department="Legal")
        tenant.soft_delete(tenant.user_ids()[2])
        tenant.assign(tenant.service_principal_id_of("Fuze"), hired)

    assert first.users == second.users
    assert first.members == second.members
    assert first.assignments == second.assignments
    assert first.changes == second.changes


def test_another_seed_shares_no_id():
    assert not set(Tenant(1, 20).user_ids()) & set(Tenant(2, 20).user_ids())


def test_the_first_ten_people_hold_every_oddity(tenant):
    people = [tenant.user(user_id) for user_id in tenant.user_ids()]

    assert {oddity_of(index) for index in range(10)} >= set(Oddity)
    assert "+" in people[5]["userPrincipalName"]
    assert "#EXT#" in people[4]["userPrincipalName"]
    assert people[4]["userType"] == "Guest"
    assert "'" in people[2]["userPrincipalName"]
    assert "surname" not in people[6]
    assert people[7]["accountEnabled"] is False
    assert "mail" not in people[8]
    assert any(ord(letter) > 0x1F000 or letter == "\u200d" for letter in people[3]["displayName"])
    assert any("\u4e00" <= letter <= "\u9fff" for person in people for letter in person["displayName"])


def test_user_principal_names_are_unique_and_ascii():
    tenant = Tenant(5, 3000)

    names = [tenant.user(user_id)["userPrincipalName"] for user_id in tenant.user_ids()]

    assert len({name.casefold() for name in names}) == 3000
    assert all(name.isascii() for name in names)


def test_managers_form_a_tree_under_the_first_person(tenant):
    root = tenant.user_ids()[0]

    for user_id in tenant.user_ids():
        chain = [user_id]
        while (manager := tenant.manager_of(chain[-1])) is not None:
            assert manager not in chain
            chain.append(manager)
        assert chain[-1] == root or tenant.user(chain[-1])["userType"] == "Guest"


def test_effective_users_are_own_grants_and_direct_members_only(tenant):
    fuze, wiki = tenant.create_service_principal("Empty A"), tenant.create_service_principal("Empty B")
    alone, member, nested, stranger, *_ = tenant.user_ids()
    inner = tenant.create_group("Inner", members=[nested])
    outer = tenant.create_group("Outer", members=[member, inner])
    user_role, admin_role = tenant.role_id_of(fuze, "User"), tenant.role_id_of(fuze, "Admin")

    tenant.assign(fuze, alone, user_role)
    tenant.assign(fuze, outer, user_role)
    tenant.assign(fuze, member, admin_role)
    tenant.assign(fuze, stranger, DEFAULT_ACCESS)
    tenant.assign(fuze, wiki, user_role)

    strict = tenant.effective_users(fuze, exclude_default_access=True)
    lenient = tenant.effective_users(fuze, exclude_default_access=False)
    assert strict == {alone: frozenset({"User"}), member: frozenset({"User", "Admin"})}
    assert lenient == strict | {stranger: frozenset()}


def test_a_role_without_a_value_entitles_but_names_no_role(tenant):
    application = tenant.create_service_principal("Plain")
    user_id = tenant.user_ids()[0]

    tenant.assign(application, user_id, tenant.role_id_of(application, "msiam_access"))

    assert tenant.effective_users(application, exclude_default_access=True) == {user_id: frozenset()}


def test_a_nested_group_in_the_drawn_tenant_entitles_nobody():
    tenant = Tenant(7, 400)
    technology = tenant.group_id_of("Technology")
    nested = tenant.members[tenant.group_id_of("Engineering")].keys() - tenant.members[technology].keys()

    effective = entitled(tenant, "Acme SCIM")

    reached_otherwise = {
        member
        for grant in tenant.grants(tenant.service_principal_id_of("Acme SCIM"))
        for member in (grant.principal_id, *tenant.members.get(grant.principal_id, ()))
    }
    assert nested - reached_otherwise
    assert not effective.keys() & (nested - reached_otherwise)


def test_a_deleted_person_loses_and_a_restored_one_regains_what_they_had(tenant):
    user_id = tenant.user_ids()[0]
    before, groups = entitled(tenant, "Fuze"), [held for held, members in tenant.members.items() if user_id in members]

    tenant.soft_delete(user_id)

    assert user_id not in entitled(tenant, "Fuze")
    assert not any(user_id in members for members in tenant.members.values())

    tenant.restore(user_id)

    assert entitled(tenant, "Fuze") == before
    assert [held for held, members in tenant.members.items() if user_id in members] == groups


def test_a_mass_deletion_takes_a_share_of_the_people_into_the_deleted_items(tenant):
    youngest = tenant.user_ids()[-30:]

    assert tenant.mass_delete(0.5) == youngest
    assert list(tenant.deleted_users) == youngest
    assert len(tenant.users) == 30


def test_a_purged_person_is_gone_with_all_grants(tenant):
    user_id = tenant.user_ids()[1]
    fuze = tenant.service_principal_id_of("Fuze")
    tenant.assign(fuze, user_id, tenant.role_id_of(fuze, "Admin"))

    tenant.purge(user_id)

    assert user_id not in tenant.users
    assert user_id not in tenant.deleted_users
    assert all(grant.principal_id != user_id for grant in tenant.grants(fuze))
    with pytest.raises(NotInTenantError):
        tenant.restore(user_id)


def test_a_new_department_moves_a_person_between_dynamic_groups(tenant):
    user_id = tenant.hire(department="Legal", userType="Member")
    legal, finance = tenant.group_id_of("Legal"), tenant.group_id_of("Finance")

    tenant.update(user_id, department="Finance")

    assert user_id not in tenant.members[legal]
    assert user_id in tenant.members[finance]


def test_a_new_colleague_gets_a_manager_and_drops_unset_properties(tenant):
    user_id = tenant.hire(mail=None, userType="Member", department="Sales")

    assert "mail" not in tenant.user(user_id)
    assert tenant.manager_of(user_id) is not None
    assert user_id in tenant.members[tenant.group_id_of("All employees")]


def test_what_already_is_so_is_no_change(tenant):
    user_id = tenant.user_ids()[0]
    group_id = tenant.create_group("Once", members=[user_id])
    fuze = tenant.service_principal_id_of("Fuze")
    tenant.assign(fuze, user_id)
    number = tenant.number

    tenant.update(
        user_id, displayName=tenant.user(user_id)["displayName"], faxNumber=tenant.user(user_id).get("faxNumber")
    )
    tenant.enable(user_id)
    tenant.add_member(group_id, user_id)
    tenant.remove_member(group_id, tenant.user_ids()[1])
    tenant.set_manager(user_id, tenant.managers.get(user_id))
    tenant.assign(fuze, user_id)

    assert tenant.number == number


def test_a_grant_can_be_revoked_by_id_or_by_its_three_parts(tenant):
    application = tenant.create_service_principal("Two ways")
    first, second, *_ = tenant.user_ids()
    by_id = tenant.assign(application, first)
    tenant.assign(application, second)

    tenant.unassign(by_id)
    tenant.unassign(application, second, DEFAULT_ACCESS)

    assert tenant.grants(application) == []
    with pytest.raises(NotInTenantError):
        tenant.unassign(by_id)


def test_deleting_a_security_group_is_final_and_a_unified_one_is_soft(tenant):
    security, unified = tenant.create_group("S"), tenant.create_group("U", unified=True)

    tenant.delete_group(security)
    tenant.delete_group(unified)

    events = {change.id: change.event for change in tenant.changes}
    assert events[security] is Event.DELETED
    assert events[unified] is Event.SOFT_DELETED
    assert list(tenant.deleted_groups) == [unified]


@pytest.mark.parametrize(
    "mutate",
    [
        pytest.param(lambda tenant: tenant.update("nobody", city="X"), id="updating nobody"),
        pytest.param(lambda tenant: tenant.soft_delete("nobody"), id="deleting nobody"),
        pytest.param(lambda tenant: tenant.add_member("nothing", tenant.user_ids()[0]), id="joining no group"),
        pytest.param(lambda tenant: tenant.add_member(tenant.group_id_of("Empty"), "nobody"), id="nobody joining"),
        pytest.param(lambda tenant: tenant.assign("nothing", tenant.user_ids()[0]), id="granting nothing"),
        pytest.param(lambda tenant: tenant.set_manager(tenant.user_ids()[0], "nobody"), id="managed by nobody"),
    ],
)
def test_a_change_of_what_does_not_exist_is_refused_and_leaves_no_trace(tenant, mutate):
    with pytest.raises(NotInTenantError):
        mutate(tenant)

    assert tenant.number == 0
