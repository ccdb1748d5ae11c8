"""How the command line shows what the reports say: JSON for programs, tables for people. No decisions here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from shared.operations.account_story import AccountStory
from shared.operations.application_report import ApplicationReport
from shared.operations.configuration_check import ConfigurationReport
from shared.operations.connection_report import ConnectionReport
from shared.operations.drift_report import DriftReport
from shared.operations.failure_report import FailedAccount
from shared.operations.held_report import HeldReport
from shared.operations.log_lines import LogLine
from shared.operations.mapping_preview import MappingPreview
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
    """A row per application; a second line says why it is stopped."""
    table = _table("Application", "Status", "Pending", "In sync", "Disabled", "Escrowed", "Held", "Queued")
    for report in reports:
        status = str(report.status) if report.enabled else "disabled in provisioning.yaml"
        table.add_row(
            _text(report.name),
            _text(f"{status}\n{report.reason}" if report.reason else status),
            str(report.pending),
            *(str(report.states[state]) for state in ("in_sync", "disabled", "escrowed", "held")),
            "-" if report.queued is None else str(report.queued),
        )
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
        cells = (report.application, report.address, settings, report.answer, report.advice or "nothing")
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


def unowned_table(accounts: Sequence[Mapping[str, Any]]) -> Table:
    """A row per account at the vendor that nobody owns."""
    table = _table("Kind", "Vendor's id", "Name", "Active", "Ownership", "Directory id")
    for account in accounts:
        active = "-" if account["is_active"] is None else str(account["is_active"])
        names = ("kind", "target_id", "name")
        cells = (*(account[name] for name in names), active, account["ownership"], account["source_id"] or "-")
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
