"""Tutorials become profiles: the four seeds row by row, the varieties others print, clear refusals for the rest."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from shared.cli.profile_commands import app
from shared.config.applications import load_applications
from shared.config.profile import AttributeType, Confidence, Mutability
from shared.config.profile_files import find_profile, read_profile
from shared.operations.profile_import import application_section, read_tutorial_file
from shared.operations.tutorials import FactKind, TutorialRefused, import_tutorial

TUTORIALS = Path(__file__).parent / "tutorials"
SEEDS = ("fuze", "fortes-change-cloud", "purecloud", "clarizen-one")
GOOD = sorted(path.stem for path in TUTORIALS.glob("*.md") if not path.stem.startswith("refused-"))
REFUSED = sorted(path.stem for path in TUTORIALS.glob("refused-*.md"))
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def tutorial(name):
    return (TUTORIALS / f"{name}.md").read_text(encoding="utf-8")


def imported(name):
    return import_tutorial(tutorial(name))


def attributes(name, resource="users"):
    return {entry.path: entry for entry in getattr(imported(name).profile, resource).attributes}


def facts(name, kind):
    return [fact.value for fact in imported(name).report.facts if fact.kind is kind]


def shipped(name):
    return find_profile(name, folder=TUTORIALS)


@pytest.mark.parametrize("name", SEEDS)
@pytest.mark.parametrize("resource", ["users", "groups"])
def test_importing_a_seed_reproduces_the_attribute_table_of_the_shipped_profile(name, resource):
    made, ours = getattr(imported(f"seeds/{name}").profile, resource), getattr(shipped(name), resource)

    if ours is None:
        assert made is None
        return
    printed = {entry.path: shape(entry) for entry in made.attributes if entry.confidence is None}
    ours_by_path = {entry.path: shape(entry) for entry in ours.attributes}
    from_the_table = {entry.path for entry in ours.attributes if entry.confidence is None}
    assert printed == {path: ours_by_path[path] for path in printed}
    assert from_the_table <= set(printed)
    assert {(repair.printed, repair.path) for repair in made.repairs} <= {
        (repair.printed, repair.path) for repair in ours.repairs
    }


def shape(entry):
    return entry.type, entry.multi_valued, entry.reference_to, entry.printed


@pytest.mark.parametrize(
    ("name", "count"), [("fuze", 5), ("fortes-change-cloud", 9), ("purecloud", 10), ("clarizen-one", 38)]
)
def test_a_seed_has_as_many_attributes_as_its_table_has_distinct_rows(name, count):
    made = imported(f"seeds/{name}")

    assert len([entry for entry in made.profile.users.attributes if entry.confidence is None]) == count
    assert made.report.refused == ()


def test_clarizens_defects_are_repaired_and_the_second_division_becomes_an_optional_organization():
    made = imported("seeds/clarizen-one")

    assert [(repair.printed, repair.path) for repair in made.report.repaired] == [
        ('roles[primary eq"True".type]', 'roles[primary eq "True"].type'),
        ('roles[primary eq"True".value]', 'roles[primary eq "True"].value'),
        (f"{ENTERPRISE}:division", ""),
    ]
    organization = made.profile.users.attribute(f"{ENTERPRISE}:organization")
    assert organization.confidence is Confidence.ASSUMED
    assert organization.path not in {mapping.target for mapping in made.profile.users.mappings}


@pytest.mark.parametrize("name", SEEDS)
def test_the_default_mapping_of_a_seed_agrees_with_the_shipped_one_where_both_map(name):
    made = {mapping.target: mapping for mapping in imported(f"seeds/{name}").profile.users.mappings}
    ours = {mapping.target: mapping for mapping in shipped(name).users.mappings}

    assert set(made) == set(ours)
    for target, mapping in made.items():
        assert (mapping.source, mapping.computed, mapping.join) == (
            ours[target].source,
            ours[target].computed,
            ours[target].join,
        )


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        pytest.param("fuze", FactKind.RATE_LIMIT, "10 requests a second", id="Fuze's rate"),
        pytest.param("fuze", FactKind.CREATE_ONLY, "Entitlements, which is not in the table", id="Fuze's entitlements"),
        pytest.param("fuze", FactKind.GROUPS, "unsupported", id="Fuze has no groups"),
        pytest.param("fuze", FactKind.ADDRESS, "set base_url", id="Fuze's address is told by its people"),
        pytest.param("fuze", FactKind.DEFAULT_ACCESS, "does not entitle", id="Default Access"),
        pytest.param("fortes-change-cloud", FactKind.FILTERABLE, "userName", id="what Fortes filters by"),
        pytest.param("purecloud", FactKind.ADDRESS, "https://{api_url}/api/v2/scim/v2", id="PureCloud's template"),
        pytest.param("purecloud", FactKind.AUTHENTICATION, "oauth2_client_credentials", id="PureCloud's OAuth client"),
        pytest.param("purecloud", FactKind.GROUPS, "neither created nor deleted", id="PureCloud's groups"),
        pytest.param("clarizen-one", FactKind.ADDRESS, "one of 4 URLs", id="Clarizen's data centres"),
        pytest.param("clarizen-one", FactKind.ROLES, "allowed: User", id="Clarizen's one role"),
        pytest.param("clarizen-one", FactKind.ROLES, "Time & Expense User", id="Clarizen's invalid roles"),
        pytest.param("clarizen-one", FactKind.AUTHENTICATION, "bearer", id="Clarizen's API key"),
    ],
)
def test_a_seed_tells_a_fact(name, kind, value):
    assert any(value in told for told in facts(f"seeds/{name}", kind))


def test_clarizens_invalid_roles_are_the_seven_of_the_list():
    assert imported("seeds/clarizen-one").profile.roles.forbidden == (
        "Administrator (Admin)",
        "Email Reporting User",
        "External User",
        "Financial User",
        "Social User",
        "Super User",
        "Time & Expense User",
    )


@pytest.mark.parametrize("name", [*(f"seeds/{seed}" for seed in SEEDS), *GOOD])
def test_a_tutorial_becomes_a_profile_and_a_section_that_load(name, tmp_path):
    made = imported(name)
    (tmp_path / f"{made.name}.yaml").write_text(made.text, encoding="utf-8")
    section = application_section(made, profile_reference=f"{made.name}.yaml")
    indented = "".join(f"  {line}\n" for line in section.splitlines())
    configuration = tmp_path / "provisioning.yaml"
    configuration.write_text(f"version: 1\napplications:\n{indented}", encoding="utf-8")

    assert read_profile(tmp_path / f"{made.name}.yaml") == made.profile
    assert not load_applications(configuration, {})[made.name].enabled


@pytest.mark.parametrize("name", GOOD)
def test_every_fact_is_read_from_a_line_or_said_to_be_assumed(name):
    lines = tutorial(name).splitlines()

    for fact in imported(name).report.facts:
        assert fact.assumed == (fact.line == 0)
        assert fact.line <= len(lines)


def test_tables_indented_by_tabs_with_four_columns_and_missing_pipes():
    made = attributes("tab-indented")
    groups = attributes("tab-indented", "groups")

    assert [path for path, entry in made.items() if entry.required] == [
        "userName",
        "active",
        'emails[type eq "work"].value',
    ]
    assert [path for path, entry in made.items() if entry.filterable] == ["userName"]
    assert made[f"{ENTERPRISE}:manager"].reference_to == "user"
    assert list(groups) == ["displayName", "members"]


def test_headers_of_any_case_and_marks_of_any_kind():
    made = attributes("spaced-check-marks")

    assert [path for path, entry in made.items() if entry.filterable] == ["userName", "externalId"]
    assert [path for path, entry in made.items() if entry.required] == [
        "userName",
        "externalId",
        "active",
        "name.givenName",
    ]
    assert "'sometimes' is neither a mark nor empty" in imported("spaced-check-marks").report.repaired[0].reason


def test_a_column_of_notes_says_what_is_set_once_or_not_mapped():
    made = attributes("notes-column")
    mapped = {mapping.target for mapping in imported("notes-column").profile.users.mappings}

    assert made["urn:ietf:params:scim:schemas:extension:callbridge:1.1:User:site"].mutability is Mutability.CREATE_ONLY
    assert made["profileUrl"].mutability is Mutability.READ_ONLY
    assert mapped == {"userName", "active", 'emails[type eq "work"].value'}


@pytest.mark.parametrize(
    "path",
    [
        'emails[type eq "work"].value',
        'emails[type eq "home"].value',
        'emails[type eq "other"].value',
        'phoneNumbers[type eq "work"].value',
        'phoneNumbers[type eq "mobile"].value',
        'phoneNumbers[type eq "fax"].value',
        'addresses[type eq "work"].locality',
        'addresses[type eq "work"].region',
        'addresses[type eq "work"].country',
        'roles[primary eq "True"].value',
        'ims[type eq "aim"].value',
    ],
)
def test_misprinted_quotes_and_brackets_are_read_as_what_they_mean(path):
    assert path in attributes("quotes")


def test_every_misprint_is_in_the_report_with_its_line():
    text = tutorial("quotes").splitlines()

    for repair in imported("quotes").report.repaired:
        assert text[repair.line - 1].strip().startswith("|")
        assert repair.reason


def test_rows_split_over_lines_are_put_together_and_the_text_behind_is_not():
    assert list(attributes("split-rows")) == [
        "userName",
        f"{ENTERPRISE}:department",
        'emails[type eq "work"].value',
        "name.givenName",
        "name.familyName",
        "active",
    ]


def test_scim_1_1_names_stay_as_they_are():
    made = attributes("scim-1-1")

    assert "urn:scim:schemas:extension:enterprise:1.0.department" in made
    assert made["urn:scim:schemas:extension:enterprise:1.0.manager"].type is AttributeType.REFERENCE
    assert "urn:scim:schemas:extension:parlance:auth_method:1.0:auth_method" in made
    assert 'addresses[type eq "untyped"].streetAddress' in made


def test_backticks_links_and_deep_urns():
    made = attributes("backticks")

    assert "urn:ietf:params:scim:schemas:extension:sapphire:2.0:User:attributes:customAttribute1" in made
    assert {"userName", "displayName", "name.givenName", "userType", f"{ENTERPRISE}:department"} <= set(made)
    assert imported("backticks").profile.auth == ("oauth2_client_credentials",)
    assert [refusal.printed for refusal in imported("backticks").report.refused] == ["id"]


def test_a_list_element_without_its_sub_attribute_is_completed():
    assert 'emails[type eq "work"].value' in attributes("authorization-code")
    assert any("authorization code" in told for told in facts("authorization-code", FactKind.AUTHENTICATION))


def test_existing_accounts_are_found_by_what_the_table_marks():
    profile = imported("external-id").profile

    assert [entry.target for entry in profile.users.matching] == ["externalId"]
    assert [entry.target for entry in profile.groups.matching] == ["externalId"]
    assert not profile.groups.rename
    assert profile.base_url.template == "https://api.octoforge.example/scim/v2/enterprises/{enterprise}"
    assert profile.credentials.lifetime_days == 180


def test_what_a_sentence_says_cannot_be_filtered_is_not_filtered():
    assert imported("groups-in-words-only").profile.users.matching[0].target == 'emails[type eq "work"].value'
    assert imported("groups-in-words-only").profile.groups is None
    assert any("no table lists" in told for told in facts("groups-in-words-only", FactKind.GROUPS))


def test_without_active_nobody_is_disabled():
    users = imported("no-active").profile.users

    assert (users.disable, users.delete) == (False, True)


def test_the_source_column_of_a_table_decides_the_mapping():
    mappings = {mapping.target: mapping for mapping in imported("two-attribute-columns").profile.users.mappings}

    assert mappings["userName"].source == "userPrincipalName"
    assert mappings["active"].computed == "not_soft_deleted"
    assert mappings[f"{ENTERPRISE}:department"].source == "department"


def test_limits_lifetimes_roles_and_rights_are_found():
    made = imported("limits")
    badge = made.profile.users.attribute("urn:ietf:params:scim:schemas:extension:tallyworks:2.0:User:badge")
    admin = made.profile.users.attribute("urn:ietf:params:scim:schemas:extension:tallyworks:2.0:User:isAdmin")

    assert made.profile.rate_limit.requests_per_second == 2
    assert made.profile.credentials.lifetime_days == 365
    assert made.profile.roles.allowed == ("Member",)
    assert made.profile.roles.forbidden == ("Owner", "Billing Admin")
    assert made.profile.protocol.schema_discovery
    assert made.profile.base_url.template == "https://{subdomain}.tallyworks.example/api/scim"
    assert badge.mutability is Mutability.CREATE_ONLY
    assert admin.privileged
    assert "unsupported, the tutorial says" in facts("limits", FactKind.GROUPS)


def test_odd_rows_are_repaired_or_refused_one_by_one():
    report = imported("odd-rows").report
    made = attributes("odd-rows")

    assert [refusal.printed for refusal in report.refused] == ["id", "emails", "nome.formatado!", "a b c [ d"]
    assert made["active"].type is AttributeType.BOOLEAN
    assert made["nickName"].required
    assert {"title", "displayName", "timezone", "locale", "userType"} <= set(made)
    assert len([repair for repair in report.repaired if repair.path == ""]) == 1


def test_a_required_attribute_of_unknown_origin_is_left_to_a_person():
    made = imported("required-unknown")
    planet = "urn:ietf:params:scim:schemas:extension:bearings:2.0:User:planet"
    mappings = {mapping.target: mapping for mapping in made.profile.users.mappings}

    assert made.report.unmapped_required == (planet,)
    assert mappings[planet].none
    assert planet in application_section(made, profile_reference="x.yaml")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("refused-screenshot", "screenshot"),
        ("refused-redirect", "points elsewhere"),
        ("refused-inbound", "the other direction"),
        ("refused-no-scim", "not provisioned over SCIM"),
        ("refused-translation", "not in English"),
        ("refused-other-language", "not in English"),
        ("refused-single-sign-on", "no provisioning tutorial"),
        ("refused-nothing-to-match", "no attribute by which existing accounts can be found"),
    ],
)
def test_a_page_that_cannot_become_a_profile_is_refused_with_reason_and_remedy(name, reason):
    with pytest.raises(TutorialRefused) as refusal:
        imported(name)

    assert reason in refusal.value.reason
    assert refusal.value.remedy
    assert name in REFUSED


TABLE = "|Attribute|Type|\n|---|---|\n|userName|String|\n|active|Boolean|\n"


@pytest.mark.parametrize(
    ("sentence", "per_second"),
    [
        ("The limit is 25 requests per second.", 25),
        ("It takes 600 requests/minute.", 10),
        ("Up to 1,200 calls every 10 minutes are served.", 2),
        ("No more than ten API requests a second.", 10),
        ("It allows 7200 requests per hour.", 2),
        ("The next cycle starts after 40 minutes.", None),
        ("## Access for an hour with PIM\n\nActivations are held at five requests per 10 seconds.", None),
        ("## PIM\n\n### Speed\n\n5 requests per 10 seconds.\n\n## Limits\n\n4 requests per second.", 4),
    ],
)
def test_a_rate_is_read_in_any_unit(sentence, per_second):
    profile = import_tutorial(f"# Configure Acme for automatic user provisioning\n\n{sentence}\n\n{TABLE}").profile

    assert profile.rate_limit.steady_rate == per_second


@pytest.mark.parametrize(
    ("sentence", "default", "template"),
    [
        ("Enter `https://api.acme.example/scim/v2` as Tenant URL.", "https://api.acme.example/scim/v2", None),
        ("The Tenant URL is https://api.acme.example/users/v1.", "https://api.acme.example/users/v1", None),
        ("Tenant URL: https://[your-org].acme.example/scim", None, "https://{org}.acme.example/scim"),
        ("Tenant URL: https://YOUR_ORG.acme.example/scim", None, "https://{org}.acme.example/scim"),
        ("Tenant URL: `https://{{region}}.acme.example/scim/`", None, "https://{region}.acme.example/scim"),
        ("Tenant URL: http://acme.example/scim", None, None),
        ("Read https://docs.acme.example/scim about it.", None, None),
        ("Read [this](https://acme.example/scim) about it.", None, None),
        ("Sign in to https://acme.example/settings and copy the Tenant URL.", None, None),
        ("See https://learn.microsoft.com/entra/scim for more.", None, None),
        (
            "The Tenant URL is `https://api.github.com/scim/v2/teams/{team}`.",
            None,
            "https://api.github.com/scim/v2/teams/{team}",
        ),
        ("Your own host counts. For example, the Tenant URL of Blue is `https://blue.acme.example/scim`.", None, None),
        ("The Tenant URL may look like https://blue.acme.example/scim/v2.", None, None),
        ("Error codes are at https://api.acme.example/scim#errors.", None, None),
        ("Enter the Token Endpoint https://acme.example/scim/oauth2/token.", None, None),
    ],
)
def test_an_address_is_fixed_a_template_or_none(sentence, default, template):
    profile = import_tutorial(f"# Configure Acme for automatic user provisioning\n\n{sentence}\n\n{TABLE}").profile

    assert (profile.base_url.default, profile.base_url.template) == (default, template)


@pytest.mark.parametrize(
    "header",
    [
        "|Attribute|Type|",
        "| attribute | TYPE |",
        "Attribute | Type",
        "|**Attribute**|**Type**|",
        "|Target attribute|Data Type|",
        "|Attribute Name|Attribute Type|",
        "|Name|Type|",
    ],
)
def test_a_header_is_known_however_it_is_written(header):
    text = (
        f"# Configure Acme for automatic user provisioning\n\n{header}\n---|---\nuserName | String\n| active|Boolean\n"
    )

    assert [entry.path for entry in import_tutorial(text).profile.users.attributes] == ["userName", "active"]


PAGE = "# Configure Acme for automatic user provisioning\n\n"


def test_a_path_broken_behind_a_colon_goes_on_in_the_next_row():
    text = f"{PAGE}{TABLE}|urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:|\n|department|String|\n"

    assert import_tutorial(text).profile.users.attributes[-1].path == f"{ENTERPRISE}:department"


def test_a_table_with_members_is_one_of_groups_whatever_stands_around_it():
    groups = "|Attribute|Type|\n|---|---|\n|displayName|String|\n|members|Reference|\n"
    text = f"{PAGE}{TABLE}\nMore user attributes:\n\n{groups}"

    profile = import_tutorial(text).profile

    assert [entry.path for entry in profile.users.attributes] == ["userName", "active"]
    assert [entry.path for entry in profile.groups.attributes] == ["displayName", "members"]


def test_blanks_that_do_not_break_and_marks_nobody_sees_are_plain_blanks_and_nothing():
    text = f'{PAGE}{TABLE}|emails[type\u00a0eq\u00a0"work"].value|String|\n|display\u200bName|String|\n'

    assert [entry.path for entry in import_tutorial(text).profile.users.attributes][2:] == [
        'emails[type eq "work"].value',
        "displayName",
    ]


CELL = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        [
            "userName",
            "active",
            "String",
            "Boolean",
            "emails[type eq",
            '"work"].value',
            "",
            "&check;",
            "urn:",
            "[",
            '"',
            "`",
            "\\|",
        ]
    ),
)
LINE = st.one_of(
    st.lists(CELL, max_size=5).map(lambda cells: "|" + "|".join(cells)),
    st.text(max_size=60),
    st.sampled_from(
        ["|Attribute|Type|", "|---|---|", "", "# Configure X for automatic user provisioning", "---", "\t"]
    ),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(LINE, max_size=25).map("\n".join))
def test_any_text_becomes_a_profile_that_loads_or_is_refused_with_a_remedy(text):
    try:
        made = import_tutorial(text, name="any")
    except TutorialRefused as refusal:
        assert refusal.reason
        assert refusal.remedy
    else:
        assert made.profile.users.matching


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(SEEDS), st.data())
def test_a_damaged_tutorial_becomes_a_profile_or_is_refused(name, data):
    text = tutorial(f"seeds/{name}")
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 400)))
    damage = data.draw(st.text(max_size=20))

    try:
        made = import_tutorial(text[:start] + damage + text[end:], name=name)
    except TutorialRefused as refusal:
        assert refusal.remedy
    else:
        assert made.profile.users.attributes


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "empty", id="an empty file"),
        pytest.param(b"%PDF\x00\x01", "no text", id="a binary file"),
        pytest.param(b"x" * 1_100_000, "larger than", id="a large file"),
        pytest.param(b"\xff\xfe" + "|Attribute|Type|".encode("utf-16-le"), "no table", id="an empty table in UTF-16"),
    ],
)
def test_a_file_that_is_no_tutorial_is_refused_by_the_command(tmp_path, content, reason):
    file = tmp_path / "page.md"
    file.write_bytes(content)

    answer = CliRunner().invoke(app, ["import", str(file), "--output", str(tmp_path / "out")])

    assert answer.exit_code == 1
    assert "Refused" in answer.stdout
    assert not (tmp_path / "out").exists()
    assert reason in answer.stdout or reason == "no table"


def test_a_missing_file_is_refused_by_the_command(tmp_path):
    answer = CliRunner().invoke(app, ["import", str(tmp_path / "absent.md"), "--output", str(tmp_path)])

    assert answer.exit_code == 1
    assert "cannot be read" in answer.stdout.replace("\n", "")


def test_the_command_writes_profile_and_report_and_prints_a_section_that_loads(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    answer = CliRunner().invoke(app, ["import", str(TUTORIALS / "seeds/clarizen-one.md"), "--name", "Planview"])

    section = re.search(r"provisioning\.yaml:\n\n(.+)", answer.stdout, re.DOTALL).group(1)
    (tmp_path / "provisioning.yaml").write_text(f"version: 1\napplications:\n{section}", encoding="utf-8")
    planview = load_applications(tmp_path / "provisioning.yaml", {})["planview"]
    assert answer.exit_code == 0
    assert planview.profile.title == "Clarizen One"
    assert "bracket closed too late" in (tmp_path / "profiles/planview.report.md").read_text(encoding="utf-8")
    assert "Rows repaired" in answer.stdout


def test_a_profile_edited_by_hand_is_not_written_over_unless_told(tmp_path):
    arguments = ["import", str(TUTORIALS / "seeds/fuze.md"), "--output", str(tmp_path)]
    CliRunner().invoke(app, arguments)
    again = CliRunner().invoke(app, arguments)
    edited = (tmp_path / "fuze.yaml").read_text(encoding="utf-8") + "# mine\n"
    (tmp_path / "fuze.yaml").write_text(edited, encoding="utf-8")

    refused = CliRunner().invoke(app, arguments)
    kept = (tmp_path / "fuze.yaml").read_text(encoding="utf-8")
    replaced = CliRunner().invoke(app, [*arguments, "--replace"])

    assert (again.exit_code, refused.exit_code, replaced.exit_code) == (0, 1, 0)
    assert kept == edited
    assert (tmp_path / "fuze.yaml").read_text(encoding="utf-8") != edited


def test_a_file_of_an_older_code_page_is_read(tmp_path):
    file = tmp_path / "page.md"
    file.write_bytes("# Configure Café for automatic user provisioning".encode("cp1252"))

    assert "Café" in read_tutorial_file(file)


HEADING = "# Configure Acme for automatic user provisioning"
FULL_TABLE = (
    "|Attribute|Type|\n|---|---|\n|userName|String|\n|active|Boolean|\n|displayName|String|\n|name.givenName|String|\n"
    '|name.familyName|String|\n|emails[type eq "work"].value|String|\n|addresses[type eq "work"].country|String|\n'
    f"|{ENTERPRISE}:organization|String|\n"
)
GROUP_TABLE = (
    "Synchronize groups:\n\n|Attribute|Type|\n|---|---|\n"
    "|displayName|String|\n|externalId|String|\n|members|Reference|\n"
)


def read(*paragraphs):
    return import_tutorial("\n\n".join((HEADING, *paragraphs)))


def told(made, kind):
    return [fact.value for fact in made.report.facts if fact.kind is kind]


def test_words_that_a_title_repeats_are_no_part_of_the_name():
    made = import_tutorial(f"# Configure Configure Acme Cloud for for automatic user provisioning\n\n{TABLE}")

    assert made.name == "acme-cloud"


@pytest.mark.parametrize(
    ("sentence", "target"),
    [
        ("**The email attribute is used to match Acme accounts.**", 'emails[type eq "work"].value'),
        ("The display name attribute is used to match people.", "displayName"),
        ("Acme only allows matching with the attributes **userName** and **email**.", "userName"),
        ("The display name attribute is used to match Acme groups.", "userName"),
        ("The attributes selected as **Matching** properties are used to match the accounts.", "userName"),
    ],
)
def test_a_sentence_about_matching_decides_where_the_table_marks_nothing(sentence, target):
    users = read(sentence, FULL_TABLE).profile.users

    assert [match.target for match in users.matching] == [target]
    assert users.matching[0].fallback == "list"


def test_a_mark_of_the_table_outweighs_a_sentence_about_matching():
    table = "|Attribute|Type|Filterable|\n|---|---|---|\n|userName|String|x|\n|displayName|String||\n"
    made = read("The display name attribute is used to match people.", table)

    assert [match.target for match in made.profile.users.matching] == ["userName"]


@pytest.mark.parametrize(
    "sentence",
    ["Acme doesn't support group renames today.", "Group renaming isn't supported.", "Acme cannot rename groups."],
)
def test_a_vendor_that_keeps_the_names_of_groups_is_recognised(sentence):
    assert not read(TABLE, GROUP_TABLE, sentence).profile.groups.rename


def test_a_change_log_tells_what_is_written_on_creation_only():
    made = read(FULL_TABLE, "* 05/05/2021 - DisplayName is now only updated during new user creation.")

    assert made.profile.users.attribute("displayName").mutability is Mutability.CREATE_ONLY


def test_what_cannot_be_updated_is_written_on_creation_only_unless_it_belongs_to_groups():
    made = read(FULL_TABLE, "* Updating email and / or first name isn't supported.")
    groups = read(FULL_TABLE, "* Changing group display name isn't supported.")

    create_only = {entry.path for entry in made.profile.users.attributes if entry.mutability is Mutability.CREATE_ONLY}
    assert create_only == {'emails[type eq "work"].value', "name.givenName"}
    assert groups.profile.users.attribute("displayName").mutability is Mutability.READ_WRITE


@pytest.mark.parametrize("sentence", ["Select **Authorize**.", "Enter the Authorization Endpoint."])
def test_an_authorization_code_is_recognised(sentence):
    assert any("authorization code" in value for value in told(read(sentence, TABLE), FactKind.AUTHENTICATION))


def test_an_authorization_code_is_told_even_where_a_token_is_named_too():
    made = read("Enter the Secret Token.", "Then select **Authorize** and sign in.", TABLE)

    assert any("authorization code" in value for value in told(made, FactKind.AUTHENTICATION))


def test_a_token_made_of_client_id_and_secret_is_no_client_credentials_grant():
    made = read("Encode client ID and client secret as Base64; enter this as the Secret Token.", TABLE)

    assert [kind.value for kind in made.profile.auth] == ["bearer"]
    assert any("Base64" in value for value in told(made, FactKind.AUTHENTICATION))


def test_a_token_endpoint_becomes_a_template_that_the_section_does_not_repeat():
    made = read(
        "Tenant URL: `https://<tenantID>.acme.example/scim`",
        "Use client credentials. The Token Endpoint looks like `https://<tenantID>.acme.example/oauth2/token`.",
        TABLE,
    )

    assert made.profile.credentials.token_url == "https://{tenantid}.acme.example/oauth2/token"
    assert made.profile.base_url.template == "https://{tenantid}.acme.example/scim"
    assert "token_url" not in application_section(made, profile_reference="x.yaml")


def test_every_other_address_is_told():
    made = read(
        "Tenant URL: `https://app.acme.example/scim/{id}`", "In the US: `https://us.acme.example/scim/{id}`", TABLE
    )

    assert "also printed: https://us.acme.example/scim/{id}" in told(made, FactKind.ADDRESS)


def test_a_table_of_tenant_urls_is_a_choice_by_its_first_column():
    made = read(
        "|Country|Tenant URL|Authorization endpoint|\n|---|---|---|\n"
        "|France|https://eu.acme.example/scim/v2/|https://acme.example/oauth/go|\n"
        "|Spain|https://eu.acme.example/scim/v2/|https://acme.example/oauth/go|\n"
        "|Japan|https://jp.acme.example/scim/v2/|https://acme.example/oauth/go|",
        TABLE,
    )

    assert made.profile.base_url.choices == {
        "france": "https://eu.acme.example/scim/v2",
        "spain": "https://eu.acme.example/scim/v2",
        "japan": "https://jp.acme.example/scim/v2",
    }


def test_the_only_available_role_is_the_allowed_one():
    made = read("Currently the only available role for Acme Cloud is **Member**.", TABLE)

    assert made.profile.roles.allowed == ("Member",)


@pytest.mark.parametrize(
    ("capabilities", "create"),
    [
        ("> * Remove users in Acme\n> * Keep user attributes synchronized with Acme", False),
        ("> * Create users in Acme\n> * Remove users in Acme", True),
        ("> * Provision new accounts in Acme\n> * Deactivate users", True),
        ("> * Single sign-on to Acme", True),
    ],
)
def test_a_connector_whose_capabilities_do_not_name_creating_creates_nobody(capabilities, create):
    made = read(f'## Capabilities\n\n> [!div class="checklist"]\n{capabilities}', "## Tables", TABLE)

    assert made.profile.users.create is create


def test_a_list_of_required_attributes_counts_as_much_as_a_column():
    made = read(FULL_TABLE, "Accounts are required to have the following attributes", "* firstName\n* display name\n")

    required = {entry.path for entry in made.profile.users.attributes if entry.required}
    assert required == {"userName", "name.givenName", "displayName"}


def test_what_is_said_below_a_table_and_below_smaller_headings_is_kept():
    made = read(
        FULL_TABLE,
        "> [!NOTE]\n> The organization must be one that Acme knows already.",
        "Go on.",
        "## Troubleshooting tips",
        "### Characters",
        "Acme refuses names that hold a tabulator.",
        "## Next steps",
        "Nothing more has to be known about it.",
    )

    assert told(made, FactKind.LIMITATION) == [
        "The organization must be one that Acme knows already.",
        "Acme refuses names that hold a tabulator.",
    ]


def test_a_server_of_an_older_scim_is_told():
    made = read("The connector was made for the SCIM v1 server of Acme.", TABLE)

    assert any("SCIM v1" in value for value in told(made, FactKind.LIMITATION))


def test_a_text_of_the_core_schema_stays_one_whatever_is_printed():
    rows = (
        "|title|Boolean|\n|profileUrl|Reference|\n|name.honorificPrefix|Integer|\n"
        '|emails[type eq "work"].primary|Boolean|\n|urn:x:y:z:1.0:User:title|Boolean|\n'
    )
    made = read(f"{TABLE}{rows}")

    types = {entry.path: entry.type.value for entry in made.profile.users.attributes}
    assert [types[path] for path in ("title", "profileUrl", "name.honorificPrefix")] == ["String"] * 3
    assert types['emails[type eq "work"].primary'] == types["urn:x:y:z:1.0:User:title"] == "Boolean"
    assert {each.printed for each in made.report.repaired} == {"title", "profileUrl", "name.honorificPrefix"}


def test_what_flows_nowhere_by_default_is_told():
    assert any(
        f"{ENTERPRISE}:organization" in value and "userName" not in value
        for value in told(read(FULL_TABLE), FactKind.MAPPING)
    )


def test_a_mapping_that_the_reader_has_to_add_is_added():
    made = read(
        "* In the **Source attribute** field, select **extensionAttribute4** from the list,\n"
        "* Enter your tenant's id as **Default value if null**,\n"
        f"* In the **Target attribute** field, select **{ENTERPRISE}:organization** from the list.",
        FULL_TABLE,
    )

    sources = {mapping.target: mapping.source for mapping in made.profile.users.mappings}
    assert sources[f"{ENTERPRISE}:organization"] == "extensionAttribute4"
    assert any("default of" in value and "tenant's id" in value for value in told(made, FactKind.MAPPING))


def test_telephone_numbers_have_a_form_where_the_text_asks_for_it():
    made = read(f'{FULL_TABLE}|phoneNumbers[type eq "work"].value|String|\n', "Phone numbers must be in E.164 format.")

    assert made.profile.users.attribute('phoneNumbers[type eq "work"].value').format == "e164"


def test_countries_are_codes_where_the_text_asks_for_them():
    made = read(FULL_TABLE, "The country has to be an ISO 3166-1 code.")

    assert made.profile.users.attribute('addresses[type eq "work"].country').format == "country_code"


def test_a_largest_number_of_groups_is_taken_over():
    made = read(TABLE, GROUP_TABLE, "Acme takes a maximum of 1,200 groups, and a maximum of 50 basic users.")

    assert made.profile.groups.max_objects == 1200
    assert made.profile.users.max_objects is None


def test_what_a_group_must_have_is_required_but_for_its_members():
    table = (
        "Synchronize groups:\n\n|Attribute|Type|Required|\n|---|---|---|\n|displayName|String|x|\n"
        "|externalId|String|x|\n|description|String||\n|members|Reference|x|\n"
    )
    groups = read(TABLE, table).profile.groups

    assert [entry.path for entry in groups.attributes if entry.required] == ["displayName", "externalId"]


def test_an_application_of_soap_is_refused_although_it_speaks_of_a_tenant_url():
    with pytest.raises(TutorialRefused, match="not provisioned over SCIM"):
        read("Requests go to the SOAP interface; a custom tenant URL can be given.", "See the scoping filter tutorial.")


def test_a_page_without_a_table_points_to_the_tutorial_it_names_and_not_to_scoping_filters():
    with pytest.raises(TutorialRefused) as named:
        read("Provisioning. See the scoping filter tutorial.", "* [Configure Hub](hub-provisioning-tutorial.md)")
    with pytest.raises(TutorialRefused) as unnamed:
        read("Provisioning. See the scoping filter tutorial.")

    assert "hub-provisioning-tutorial.md" in named.value.reason
    assert "points elsewhere" not in unnamed.value.reason
