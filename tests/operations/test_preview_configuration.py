"""Previews of another configuration: what it would change against today's rows, and what a posted text cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.config import profile_files
from shared.config.applications import ConfigurationError
from shared.operations.previewing.page import PreviewRequest
from shared.operations.previewing.previewer import PreviewRefused
from shared.provisioning.guard import Verdict
from tests.operations.previews import counted, foretold, only, preview, sent
from tests.operations.test_held import narrow_guard
from tests.provisioning.pulls import (
    APP,
    CONFIRM_S,
    assign,
    calm,
    people,
    principal_of,
    pulling,
    tick,
    unassign,
)
from tests.provisioning.test_reconfiguration import configure
from tests.world import World

ALL = "scope: all"
SHIPPED = Path(profile_files.__file__).parent / "profiles" / "scim.yaml"


def written(world: World) -> str:
    return world.services.settings.provisioning_config.read_text("utf-8")


async def judge(world: World, text: str, *, was: str = ALL) -> None:
    """Preview the changed text, put it into force, and compare."""
    posted = await preview(world, configuration=written(world).replace(was, text))
    journal = len(world.vendors[APP].journal)
    assert (await preview(world)).applications[0].requests.total == 0
    configure(world, text, was=was)
    await calm(world)
    assert foretold(only(posted).requests) == sent(world, journal)
    assert only(posted).configuration == "changed"


async def test_a_changed_mapping_costs_what_was_foreseen(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more=ALL) as world:
        await calm(world)

        await judge(world, f"{ALL}\n    mappings: {{users: [{{target: title, constant: Astronaut}}]}}")


async def test_a_changed_filter_lets_go_whom_it_said(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more=ALL) as world:
        for user_id in world.tenant.user_ids():
            world.tenant.update(user_id, department="Sales")
        for user_id in people(world, 4):
            world.tenant.update(user_id, department="Engineering")
        await calm(world)
        filters = (
            f"{ALL}\n    scoping_filters: "
            "[{name: Engineers, clauses: [{attribute: department, operator: EQUALS, value: Engineering}]}]"
        )
        posted = await preview(world, configuration=written(world).replace(ALL, filters))

        report = only(posted)
        assert report.counts["disable"] == {"out_of_scope": report.leaves}
        assert report.leaves == len(world.active(APP)) - 4
        assert report.guard is not None
        assert (report.guard.verdict, report.guard.counted) == (Verdict.RELEASE, report.leaves)
        await judge(world, filters)
        back = await preview(world, configuration=written(world).replace(filters, ALL))
        assert only(back).enters == report.leaves


async def test_too_many_who_fall_out_of_scope_would_be_held(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more=ALL) as world:
        await calm(world)
        narrow_guard(world, 2)
        text = written(world).replace(
            ALL,
            f"{ALL}\n    scoping_filters: "
            "[{name: Nobody, clauses: [{attribute: department, operator: EQUALS, value: Nowhere}]}]",
        )

        report = only(await preview(world, configuration=text.replace("max_count: 1000", "max_count: 2")))

        assert report.guard is not None
        assert (report.guard.verdict, report.guard.held) == (Verdict.HOLD, len(world.active(APP)))
        assert report.requests.total == 0


async def test_with_another_service_principal_a_person_is_asked(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        for user_id in people(world, 3):
            assign(world, user_id)
        await calm(world)
        unassign(world, people(world, 1)[0])
        await tick(world)
        world.clock.advance(CONFIRM_S)
        narrow_guard(world, 1)
        other = written(world).replace(principal_of(world), "99999999-0000-0000-0000-000000000000")
        other = other.replace(
            "max_percent: 100, min_population: 0}",
            "max_percent: 100, min_population: 0}\n    scoping_filters: "
            "[{name: Nobody, clauses: [{attribute: department, operator: EQUALS, value: Nowhere}]}]",
        )

        report = only(await preview(world, configuration=other))

        assert report.guard is not None
        assert (report.guard.verdict, report.guard.is_distrusted) == (Verdict.HOLD, True)
        assert any("assignments" in note for note in report.notes)


async def test_a_new_and_a_gone_application_are_told_apart(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more=ALL) as world:
        await calm(world)

        report = await preview(world, configuration=written(world).replace(f"{APP}:", "initech:"))

        assert report.gone == (APP,)
        assert only(report, "initech").configuration == "new"
        assert counted(report, "initech")["create"] == len(world.active(APP))


async def test_properties_that_nobody_read_so_far_are_named(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more=ALL) as world:
        await calm(world)
        more = f"{ALL}\n    mappings: {{users: [{{target: title, source: employeeType}}]}}"

        report = only(await preview(world, configuration=written(world).replace(ALL, more)))

        assert any("employeeType" in note for note in report.notes)


async def test_a_profile_is_taken_from_what_was_handed_in_and_from_nowhere_else(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more=ALL) as world:
        await calm(world)
        folder: Path = world.services.settings.provisioning_config.parent
        own = SHIPPED.read_text("utf-8")
        (folder / "secret.yaml").write_text(own, "utf-8")
        given = written(world).replace("profile: scim", "profile: ./initech.yaml")

        report = await preview(world, configuration=given, profiles={"./initech.yaml": own})
        assert only(report).requests.total == 0
        for name in ("secret.yaml", "./secret.yaml", str(folder / "secret.yaml"), "../../etc/passwd.yaml"):
            with pytest.raises(ConfigurationError, match="handed in"):
                await preview(world, configuration=written(world).replace("profile: scim", f"profile: {name}"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 2", "version"),
        ("version: 1\napplications: {acme: {profile: scim, colour: red}}", "colour"),
        ("[" * 100_000, "levels"),
        ("a: &a [1]\nb: " + "[*a, " * 30 + "]" * 30, "version"),
        ("x" * 500_000, "characters"),
        ("a: \ud800", "surrogate"),
        ("version: 1\n  applications: {", "syntax"),
    ],
)
async def test_a_configuration_that_cannot_be_used_is_refused_with_its_mistakes(
    text: str, said: str, azurite: str, name_prefix: str
) -> None:
    async with pulling(azurite, name_prefix) as world:
        with pytest.raises(ConfigurationError, match=said):
            await world.services.previewer.preview(PreviewRequest(configuration=text))


async def test_settings_are_neither_needed_nor_read(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more=ALL) as world:
        await calm(world)
        base_url = world.vendors[APP].base_url
        for address in ("${ACME_TOKEN}", "https://${ACME_TOKEN}/scim", "https://host/${ABSENT}"):
            text = written(world).replace(f"base_url: {base_url}", f'base_url: "{address}"')

            report = await preview(world, configuration=text.replace("token: ACME_TOKEN", "token: ABSENT_TOKEN"))

            assert only(report).requests.total == 0


async def test_what_is_redacted_today_stays_so_whatever_is_posted(azurite: str, name_prefix: str) -> None:
    mapping = "mappings: {users: [{target: externalId, source: mailNickname, redact: true}]}"
    async with pulling(azurite, name_prefix, more=f"{ALL}\n{mapping}") as world:
        for user_id in world.tenant.user_ids():
            world.tenant.update(user_id, mailNickname="confidential")
        await calm(world)
        for posted in (
            "mappings: {users: [{target: externalId, source: employeeId}]}",
            "mappings: {users: [{target: externalId, remove: true}]}",
            "mappings: {users: [{target: nickName, source: mailNickname}]}",
            "mappings: {users: [{target: title, expression: 'Join(\"-\", [mailNickname], [city])'}]}",
        ):
            text = written(world).replace(mapping, posted)
            report = await preview(world, configuration=text, with_skipped=True)

            renamed = await preview(world, configuration=called_otherwise(world, text), with_skipped=True)

            assert only(report).requests.updates > 0
            assert renamed.applications[0].requests.creates > 0
            assert "confidential" not in repr(report) + repr(renamed)


def called_otherwise(world: World, text: str) -> str:
    """The same configuration of an application that nobody knows."""
    return text.replace(f"  {APP}:", "  spy:").replace(principal_of(world), "99999999-9999-9999-9999-999999999999")


async def test_an_application_that_is_not_there_is_refused(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        with pytest.raises(PreviewRefused, match=APP):
            await preview(world, application="initech")
