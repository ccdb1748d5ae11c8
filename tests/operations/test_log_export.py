"""The log as a file: CSV and JSON say the same, spreadsheets take no cell for a formula, and a cut file goes on."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.operations.log_export import (
    CUT,
    LOGS,
    MODIFIED,
    STEPS,
    ExportBounds,
    ExportFormat,
    ExportReport,
    export_log,
)
from shared.operations.log_lines import EVERYTHING, LogFilter
from shared.provisioning.provisioning_log import LogEntry, LogStatus, Step, StepType
from shared.storage.tables import Tables
from tests.operations.seeded_logs import entry, storage_of, write_log
from tests.provisioning.memory_tables import MemoryTables, Store

APPS: Any = {name: SimpleNamespace(service_principal_id=f"principal of {name}") for name in ("acme", "fuze")}
FORMULAS = ("=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "\uff1d1")
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12) | st.sampled_from(
    [*FORMULAS, 'say "hi", twice', "two\r\nlines", "👩‍👩‍👧 emoji", "'quoted", "", ";,|"]
)


@pytest.fixture
async def tables(azurite: str, name_prefix: str) -> AsyncIterator[Tables]:
    services = storage_of(azurite, name_prefix)
    await services.tables.create_missing()
    yield services.tables
    await services.close()


async def exported(
    tables: Tables, form: ExportFormat, wanted: LogFilter = EVERYTHING, **options: Any
) -> tuple[bytes, ExportReport]:
    file = io.BytesIO()
    report = await export_log(tables, APPS, wanted, form=form, into=file, **options)
    return file.getvalue(), report


def sheets(content: bytes) -> dict[str, list[dict[str, str]]]:
    """The files of the zip, as a spreadsheet reads them."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {
            name: list(csv.DictReader(io.StringIO(archive.read(name).decode("utf-8-sig"), newline=""), strict=True))
            for name in archive.namelist()
            if name.endswith(".csv")
        }


def cell(value: Any) -> str:
    """What a value has to look like in a spreadsheet."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return (
        f"'{text}"
        if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"))
        else text
    )


def flat(record: Any, path: str = "") -> dict[str, Any]:
    """The record without its lists, names joined by dots."""
    if not isinstance(record, dict):
        return {} if isinstance(record, list) else {path: record}
    return {
        name: value for key, part in record.items() for name, value in flat(part, f"{path}.{key}".strip(".")).items()
    }


def joined(content: bytes) -> list[tuple[dict[str, str], list[dict[str, str]], list[dict[str, str]]]]:
    """Every record with its steps and its modified properties, joined by id."""
    files = sheets(content)

    def of(name: str, record: dict[str, str]) -> list[dict[str, str]]:
        return [
            {column: value for column, value in row.items() if column != "id"}
            for row in files[name]
            if row["id"] == record["id"]
        ]

    return [(record, of(STEPS, record), of(MODIFIED, record)) for record in files[LOGS]]


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(TEXTS, min_size=6, max_size=6),
    value=st.one_of(TEXTS, st.none(), st.booleans(), st.integers(-9, 9)),
    fails=st.booleans(),
)
async def test_the_csv_joined_back_says_what_the_json_says(texts: list[str], value: Any, *, fails: bool) -> None:
    tables = MemoryTables(Store())
    description, reason, error, name, detail, target_id = texts
    steps = [
        Step(type=each, status=LogStatus.SUCCESS, description=description, details={"d": detail}) for each in StepType
    ]
    entries = [
        entry(
            at,
            reason=reason,
            target_id=target_id,
            error_code="Rare" if fails else "",
            error=error if fails else "",
            steps=steps[: at % 4],
            modified=[{"displayName": name, "oldValue": value, "newValue": detail}] * (at % 3),
        )
        for at in range(5)
    ]
    await write_log(tables, "acme", entries)

    archive, report = await exported(tables, ExportFormat.CSV)
    text, also = await exported(tables, ExportFormat.JSON)

    records = json.loads(text)["value"]
    rows = joined(archive)
    assert report == also == ExportReport(records=5, next=None)
    assert len(rows) == len(records)
    for record, (row, step_rows, modified_rows) in zip(records, rows, strict=True):
        told = dict.fromkeys(row, "") | {name: cell(each) for name, each in flat(record).items()}
        told.pop("provisioningStatusInfo.errorInformation", None)
        assert row == told
        assert step_rows == [{name: cell(each) for name, each in step.items()} for step in record["provisioningSteps"]]
        assert modified_rows == [
            {name: cell(each) for name, each in changed.items()} for changed in record["modifiedProperties"]
        ]


async def test_no_cell_is_a_formula(tables: Tables) -> None:
    modified = [{"displayName": text, "oldValue": text, "newValue": text} for text in FORMULAS]
    await write_log(tables, "acme", [entry(1, target_id="=1+1", reason="@x", modified=modified)])

    content, _ = await exported(tables, ExportFormat.CSV)

    cells = [value for rows in sheets(content).values() for row in rows for value in row.values()]
    assert not [value for value in cells if value[:1] in set("=+-@\t\r\n\uff1d")]
    assert sorted(row["oldValue"] for row in sheets(content)[MODIFIED]) == sorted(f"'{text}" for text in FORMULAS)


async def test_the_json_has_the_shape_of_graphs_summary(tables: Tables) -> None:
    failed = entry(2, status=LogStatus.FAILURE, error_code="Rare", error="no", remedy="do this")
    await write_log(tables, "acme", [entry(1), failed])

    document = json.loads((await exported(tables, ExportFormat.JSON))[0])

    failure, success = document["value"]
    assert (document["complete"], document["next"]) == (True, None)
    assert failure["provisioningStatusInfo"] == {
        "status": "failure",
        "errorInformation": {"errorCode": "Rare", "reason": "no", "recommendedAction": "do this"},
    }
    assert success["provisioningStatusInfo"] == {"status": "success", "errorInformation": None}
    assert success["activityDateTime"] == "2026-11-21T08:00:07.000000Z"
    assert success["sourceIdentity"] == {"id": "jo", "identityType": "User"}
    assert success["servicePrincipal"] == {"id": "principal of acme", "displayName": "acme"}
    assert [step["provisioningStepType"] for step in success["provisioningSteps"]] == ["export"]


@pytest.mark.parametrize("form", ExportFormat)
@pytest.mark.parametrize("bounds", [ExportBounds(records=4), ExportBounds(size=1), ExportBounds(pages=1)], ids=str)
async def test_a_file_that_was_cut_says_so_and_the_next_one_goes_on(
    tables: Tables, form: ExportFormat, bounds: ExportBounds
) -> None:
    entries: list[tuple[str, LogEntry]] = [(app, entry(at, number=f"{app} {at}")) for at in range(1100) for app in APPS]
    for app in APPS:
        await write_log(
            tables, app, [each for owner, each in entries if owner == app][: 1100 if bounds.size == 1 else 9]
        )

    found: list[str] = []
    cursor: str | None = ""
    files = 0
    while cursor is not None:
        content, report = await exported(tables, form, cursor=cursor, bounds=bounds)
        files += 1
        if form is ExportFormat.JSON:
            document = json.loads(content)
            assert (document["complete"], document["next"]) == (report.next is None, report.next)
            found += [record["changeId"] for record in document["value"]]
        else:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                assert (CUT in archive.namelist()) is (report.next is not None)
                assert report.next is None or report.next in archive.read(CUT).decode()
            found += [row["changeId"] for row in sheets(content)[LOGS]]
        cursor = report.next

    written = 1100 if bounds.size == 1 else 9
    assert sorted(found) == sorted(each.number for at, (_, each) in enumerate(entries) if at < written * len(APPS))
    assert files > 1 or bounds.pages == 1


async def test_an_empty_log_is_a_file_too(tables: Tables) -> None:
    content, report = await exported(tables, ExportFormat.CSV, LogFilter(code="Never"))

    assert report == ExportReport(records=0, next=None)
    assert sheets(content) == {LOGS: [], STEPS: [], MODIFIED: []}
    assert json.loads((await exported(tables, ExportFormat.JSON))[0]) == {"value": [], "complete": True, "next": None}
