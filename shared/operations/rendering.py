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
