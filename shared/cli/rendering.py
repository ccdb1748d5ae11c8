"""How the command line shows what the reports say: JSON for programs, tables for people. No decisions here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any

from shared.operations.account_story import AccountStory
from shared.operations.application_report import ApplicationReport
from shared.operations.configuration_check import ConfigurationReport
from shared.operations.connection_report import ConnectionReport
from shared.operations.drift_report import DriftReport, UnownedLine
from shared.operations.failure_report import FailedAccount
from shared.operations.held_report import HeldReport
from shared.operations.log_lines import LogLine
from shared.operations.mapping_preview import MappingPreview
from shared.operations.people import PeopleFound, PersonStory
from shared.operations.previewing.report import AccountPreview, PreviewReport
from shared.provisioning.audit_trail import AuditRecord
from shared.provisioning.on_demand_report import OnDemandReport
from shared.rules.expressions import FunctionDescription

if TYPE_CHECKING:
    from rich.table import Table


def as_json(value: Any) -> str:
    """One JSON document; instants are ISO 8601."""
    return json.dumps(value, default=_plain, ensure_ascii=False, indent=2)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _table(*columns: str, title: str = "") -> Table:
    from rich.table import Table

    table = Table(title=title or None, title_justify="left")
    for column in columns:
        # Cut text cannot be searched for.
        table.add_column(column, overflow="fold")
    return table


def _text(value: Any) -> Any:
    """A cell whose brackets are not taken for markup."""
    from rich.text import Text

    if isinstance(value, datetime):
        value = value.isoformat(timespec="seconds")
    return Text(value if isinstance(value, str) else json.dumps(value, default=_plain, ensure_ascii=False))


def applications_table(reports: Sequence[ApplicationReport]) -> Table:
    """A row per application; further lines say why it is stopped, and what is wrong around it."""
    table = _table("Application", "Status", "Pending", "In sync", "Disabled", "Escrowed", "Held", "Queued")
    for report in reports:
        status = str(report.status) if report.enabled else "disabled in provisioning.yaml"
        table.add_row(
            _text(report.name),
            _text("\n".join([status, *([report.reason] if report.reason else []), *_problem_lines(report)])),
            str(report.pending),
            *(str(report.states[state]) for state in ("in_sync", "disabled", "escrowed", "held")),
            "-" if report.queued is None else str(report.queued),
        )
    return table


def _problem_lines(report: ApplicationReport) -> list[str]:
    """What is wrong and what to do; a quarantine's own words stand there already."""
    return [
        each.remedy if each.text == report.reason else f"{each.code}: {each.text} {each.remedy}"
        for each in report.problems
    ]


def progress_bars(reports: Sequence[ApplicationReport]) -> Table:
    """A bar per application: how much is done, who is in line, how long it takes."""
    from rich.progress_bar import ProgressBar

    table = _table("Application", "Status", "Progress", "", "In line", "Time left")
    for report in reports:
        if report.enabled:
            left = "-" if report.seconds_left is None else str(timedelta(seconds=report.seconds_left))
            bar = ProgressBar(total=1.0, completed=report.progress, width=40)
            share = f"{report.progress:.1%}"
            table.add_row(_text(report.name), str(report.status), bar, share, str(report.in_line), left)
    return table


def held_table(report: HeldReport) -> Table:
    """A row per held account; the title is what an answer needs."""
    since = report.since.isoformat(timespec="seconds") if report.since else ""
    title = f"List {report.list_number}, held since {since}"
    table = _table("Kind", "Directory id", "Vendor's id", "State", "Members", title=title)
    for account in report.accounts:
        members = "-" if account.members is None else str(account.members)
        cells = (account.kind, account.source_id, account.target_id or "-", account.state, members)
        table.add_row(*(_text(cell) for cell in cells))
    return table


def connections_table(reports: Sequence[ConnectionReport]) -> Table:
    """A row per application: where, with which settings, what came back, what to do."""
    table = _table("Application", "Address", "Settings", "Answer", "Next")
    for report in reports:
        settings = "\n".join(f"{name}{'' if is_set else ' (missing)'}" for name, is_set in report.settings.items())
        answers = "\n".join([report.answer, *(f"{each.setting}: {each.answer}" for each in report.secrets)])
        cells = (report.application, report.address, settings, answers, report.advice or "nothing")
        table.add_row(*(_text(cell) for cell in cells))
    return table


def mapping_tables(preview: MappingPreview) -> list[Any]:
    """Standing and scoping, then what would be sent."""
    head = _table("Question", "Answer", title=f"{preview.user_id} at {preview.application}")
    head.add_row("Standing", _text(preview.standing))
    for clause, passed in preview.scoping.items():
        head.add_row(_text(clause), "passed" if passed else "failed")
    for path, value in preview.matching.items():
        head.add_row("Existing account looked for by", _text(f"{path} = {value}"))
    for warning in preview.warnings:
        head.add_row("Warning", _text(warning))
    if preview.refusal:
        head.add_row("Refused", _text(preview.refusal))
    values = _table("Target", "From", "Value", "When")
    for step in preview.trace:
        value = f"account of {step.value}" if step.outcome == "reference" else step.value
        values.add_row(_text(step.target), _text(step.source), _text("" if value is None else value), step.outcome)
    return [head] if preview.refusal else [head, values, as_json(preview.resource)]


def log_table(lines: Sequence[LogLine]) -> Table:
    """A row per attempt, newest first."""
    table = _table("At", "User", "Action", "Result", "Changed", "Error and what to do")
    for line in lines:
        changed = ", ".join(str(entry.get("displayName", "")) for entry in line.modified)
        trouble = "\n".join(part for part in (line.error_code, line.error, line.remedy) if part)
        cells = (line.at[:19], line.source_id, line.action, f"{line.status}: {line.reason}", changed, trouble)
        table.add_row(*(_text(cell) for cell in cells))
    return table


def story_tables(story: AccountStory) -> list[Any]:
    """What the directory says, what the row says, what comes next, what was done."""
    facts = _table("Fact", "Value", title=f"{story.source_id} at {story.application}")
    for name, value in story.directory.items():
        facts.add_row(f"directory: {name}", _text(value))
    for name, value in story.row.items():
        facts.add_row(f"account: {name}", _text(value))
    facts.add_row("next", _text(story.next))
    if story.remedy:
        facts.add_row("what to do", _text(story.remedy))
    return [facts, log_table(story.log)] if story.log else [facts]


def functions_table(functions: Sequence[FunctionDescription]) -> Table:
    """The functions of the expression language."""
    table = _table("Function", "Answers")
    for function in functions:
        table.add_row(_text(function.signature), _text(function.summary))
    return table


def configuration_lines(report: ConfigurationReport) -> list[str]:
    """One line per mistake, then what is connected."""
    lines = [*report.problems, *report.missing]
    if lines:
        return lines
    connected = ", ".join(report.applications) or "none (every application has enabled: false)"
    return [f"provisioning.yaml and settings are good; connected applications: {connected}"]


def drift_tables(report: DriftReport) -> list[Any]:
    """Where the round is, then a row per account that differs."""
    round_ = _table("Question", "Answer", title=f"Verification of {report.application} (drift.mode: {report.mode})")
    facts = {
        "Phase": report.phase,
        "Started": report.started_at or "never",
        "Finished": report.finished_at or "-",
        "Accounts compared": report.compared,
        "Without an owner": report.unowned,
        "Not listed because": report.problem,
    }
    for name, value in facts.items():
        if value != "":
            round_.add_row(name, _text(value))
    if not report.accounts:
        return [round_, "Nobody differs."]
    table = _table("Directory id", "Vendor's id", "Status", "Found", "Sent -> at the vendor")
    for account in report.accounts:
        changes = [f"{path}: {sent} -> {observed or '(nothing)'}" for path, (sent, observed) in account.paths.items()]
        shown = "the account is gone" if account.gone else "\n".join(changes)
        cells = (account.source_id, account.target_id, account.status, account.found_at or "", shown)
        table.add_row(*(_text(cell) for cell in cells))
    return [round_, table]


def unowned_table(accounts: Sequence[UnownedLine]) -> Table:
    """A row per account at the vendor that nobody owns."""
    table = _table("Kind", "Vendor's id", "Name", "Active", "Ownership", "Directory id")
    for account in accounts:
        active = "-" if account.is_active is None else str(account.is_active)
        cells = (account.kind, account.target_id, account.name, active, account.ownership, account.source_id or "-")
        table.add_row(*(_text(cell) for cell in cells))
    return table


def people_tables(found: PeopleFound) -> list[Any]:
    """A row per person or group, and which sources could not be asked."""
    lines = [f"{each.source} could not be asked: {each.reason}" for each in found.unasked]
    if found.is_cut:
        lines.append("More begin with this than are shown: type more of the name.")
    if not found.people:
        return [*lines, "Nobody, and no group, was found."]
    table = _table("Kind", "Directory id", "Name", "Who", "Presence", "Found by")
    for person in found.people:
        name, who = (str(person.properties.get(key) or "-") for key in ("displayName", "userPrincipalName"))
        cells = (person.kind, person.id, name, who, person.presence, ", ".join(person.found_by))
        table.add_row(*(_text(cell) for cell in cells))
    return [table, *lines]


def person_tables(story: PersonStory) -> list[Any]:
    """Who it is, each account, then the timeline."""
    facts = _table("Fact", "Value", title=f"{story.kind} {story.id}")
    facts.add_row("presence", _text(story.presence))
    for name, value in story.properties.items():
        facts.add_row(name, _text(value))
    accounts = _table("Application", "State", "Vendor's id", "Standing", "Next", "What to do")
    for account in story.accounts:
        row = account.row
        cells = (account.application, row.get("state", "-"), row.get("target_id", "-"))
        told = (account.directory.get("standing", "-"), account.next, account.remedy)
        accounts.add_row(*(_text(str(cell)) for cell in (*cells, *told)))
    return [facts, accounts, log_table(story.timeline)] if story.timeline else [facts, accounts]


def account_previews_table(accounts: Sequence[AccountPreview]) -> Table:
    """A row per account that would change, with old and new values."""
    table = _table("Application", "Kind", "Directory id", "Action", "Reason", "Old -> new", "In the way")
    for account in accounts:
        changes = [f"{each.name}: {_word(each.old)} -> {_word(each.new)}" for each in account.modified]
        if account.members_added or account.members_removed:
            changes.append(f"members: +{account.members_added} -{account.members_removed}")
        if account.has_more_members:
            changes.append("not all members were compared: there may be more")
        cells = (
            account.application,
            account.kind,
            account.source_id,
            str(account.action),
            " ".join(part for part in (account.reason, account.detail) if part),
            "\n".join([*changes, *account.warnings]),
            str(account.obstacle),
        )
        table.add_row(*(_text(cell) for cell in cells))
    return table


def preview_tables(report: PreviewReport, accounts: Sequence[AccountPreview], *, unlisted: int) -> list[Any]:
    """Totals of each application, then whoever would change."""
    shown: list[Any] = []
    for each in report.applications:
        totals = _table("What", "How many", title=f"{each.application} ({each.configuration}, {each.status})")
        for action, reasons in each.counts.items():
            for reason, count in reasons.items():
                totals.add_row(_text(f"{action}: {reason}"), str(count))
        totals.add_row("memberships", f"+{each.members_added} -{each.members_removed}")
        seconds = each.requests.seconds
        totals.add_row("requests", str(each.requests.total))
        totals.add_row("seconds at the vendor's rate", "-" if seconds is None else f"{seconds:.0f}")
        if each.guard is not None:
            totals.add_row("deletion guard", _text(f"{each.guard.verdict}, would hold {each.guard.held}"))
        shown += [totals, *(f"{each.application}: {note}" for note in each.notes)]
    shown += [f"{name} is no longer provisioned: its accounts stay as they are" for name in report.gone]
    if accounts:
        shown.append(account_previews_table(accounts))
    if unlisted:
        shown.append(f"{unlisted} more accounts are counted and not listed.")
    return shown


def on_demand_tables(report: OnDemandReport) -> list[Any]:
    """The six steps, what was sent, and what comes next."""
    steps = _table("Step", "Status", "What", title=f"{report.source_id} at {report.application}: {report.outcome}")
    for step in report.steps:
        steps.add_row(_text(str(step.type)), _text(str(step.status)), _text(step.description))
    shown: list[Any] = [steps]
    if report.modified:
        sent = _table("Attribute", "Old", "New")
        for entry in report.modified:
            old, new = (_word(entry.get(name)) for name in ("oldValue", "newValue"))
            sent.add_row(_text(str(entry.get("displayName", ""))), _text(old), _text(new))
        shown.append(sent)
    trouble = " ".join(part for part in (report.error_code, report.error, report.remedy) if part)
    return [*shown, *([trouble] if trouble else []), report.next]


def _word(value: Any) -> str:
    return "(nothing)" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def audit_table(records: Sequence[AuditRecord]) -> Table:
    """A row per action, newest first."""
    table = _table("At", "Who", "From", "Application", "Action", "Detail", "Result")
    for record in records:
        who = record.actor if record.is_verified or not record.actor else f"{record.actor} (as given)"
        where = " ".join(part for part in (record.via, record.address) if part)
        detail = ", ".join(f"{name}: {value}" for name, value in record.detail.items())
        cells = (record.at, who, where, record.application or "-", record.action, detail, record.result or "unfinished")
        table.add_row(*(_text(cell) for cell in cells))
    return table


def history_table(report: ApplicationReport) -> Table:
    """An application's changes of status, newest first."""
    table = _table("At", "Status", "Reason", "Detail", title=f"History of {report.name}")
    for change in report.history:
        table.add_row(*(_text(cell) for cell in (change.at, str(change.status), change.reason, change.detail)))
    return table


def failures_table(failures: Sequence[FailedAccount]) -> Table:
    """A row per account whose last attempt failed."""
    table = _table("Directory id", "State", "Error", "First, last, next", "Attempts", "What to do")
    for each in failures:
        times = "\n".join(
            "-" if at is None else at.isoformat(timespec="seconds")
            for at in (each.first_at, each.last_at, each.next_at)
        )
        cells = (
            each.source_id,
            each.state,
            f"{each.code}\n{each.text}".strip(),
            times,
            str(each.attempts),
            each.remedy,
        )
        table.add_row(*(_text(cell) for cell in cells))
    return table
