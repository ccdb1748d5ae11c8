"""What the status table says about an application that is not well."""

from __future__ import annotations

from rich.console import Console

from shared.cli.rendering import applications_table
from shared.operations.application_problems import ApplicationProblem
from shared.operations.application_report import ApplicationReport
from shared.provisioning.accounts import AccountState
from shared.provisioning.applications_state import ApplicationStatus


def shown(report: ApplicationReport) -> str:
    """Answers with the table as a person reads it."""
    console = Console(width=400, record=True, file=None)
    with console.capture() as captured:
        console.print(applications_table([report]))
    return captured.get()


def test_a_problem_is_shown_with_its_remedy_and_a_quarantines_own_words_once() -> None:
    reason = "InsufficientRights: 403 [no] rights"
    report = ApplicationReport(
        name="acme",
        enabled=True,
        status=ApplicationStatus.QUARANTINE,
        reason=reason,
        states=dict.fromkeys(AccountState, 0),
        problems=(
            ApplicationProblem(code="SettingMissing", text="ACME_HOOK: absent", remedy="Add the setting."),
            ApplicationProblem(code="InsufficientRights", text=reason, remedy="Give it the rights."),
        ),
    )

    table = shown(report)

    assert table.count(reason) == 1
    assert "SettingMissing: ACME_HOOK: absent Add the setting." in table
    assert "Give it the rights." in table
    assert report.needs_a_person
