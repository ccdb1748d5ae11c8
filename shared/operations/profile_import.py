"""The files around an import: a tutorial is read, a profile and its report are written beside each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.operations.tutorials import ImportedProfile, ImportReport, TutorialRefused, import_tutorial
from shared.operations.tutorials.profile_text import flow

_LARGEST_BYTES: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenImport:
    """An import whose files are on disk."""

    imported: ImportedProfile
    profile_path: Path
    report_path: Path


def read_tutorial_file(path: Path) -> str:
    """The text of a tutorial file. Raises `TutorialRefused` for what is no text, and for what cannot be read."""
    try:
        content = path.read_bytes() if path.stat().st_size <= _LARGEST_BYTES else None
    except OSError as error:
        raise TutorialRefused(f"{path} cannot be read ({error.strerror})", "Give a readable Markdown file") from error
    if content is None:
        raise TutorialRefused("the file is larger than 1 MB", "Give the Markdown file of one tutorial")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def import_tutorial_file(
    path: Path, *, name: str | None, folder: Path, read_on: str, replace: bool = False
) -> WrittenImport:
    """Writes `<name>.yaml` and `<name>.report.md` into `folder`, which is made when missing.

    Raises `TutorialRefused`, also when a profile of that name is there with another content and `replace` is false: it
    may have been edited by hand.
    """
    imported = import_tutorial(read_tutorial_file(path), name=name, read_on=read_on)
    profile_path = folder / f"{imported.name}.yaml"
    report_path = folder / f"{imported.name}.report.md"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not replace and profile_path.exists() and not _is_same(profile_path, imported.text):
            raise TutorialRefused(
                f"{profile_path} exists and is different", "Choose another --name, or say --replace to write over it"
            )
        profile_path.write_text(imported.text, encoding="utf-8")
        report_path.write_text(report_text(imported.report, source=path.name), encoding="utf-8")
    except OSError as error:
        raise TutorialRefused(f"{folder} cannot be written ({error.strerror})", "Choose another --output") from error
    return WrittenImport(imported=imported, profile_path=profile_path, report_path=report_path)


def application_section(imported: ImportedProfile, *, profile_reference: str) -> str:
    """The section to paste below `applications:` of provisioning.yaml. It loads as it stands, disabled."""
    profile = imported.profile
    prefix = _setting_prefix(imported.name)
    lines = [
        f"{imported.name}:",
        "  enabled: false                        # true when the lines below are yours and the settings exist",
        f"  profile: {flow(profile_reference)}",
        "  service_principal_id: 00000000-0000-0000-0000-000000000000   # object id of the enterprise application",
        *_address_lines(imported),
    ]
    kind = profile.auth[0].value
    if kind == "basic":
        lines.append(f"  auth: {{type: basic, username: {prefix}_USER, password: {prefix}_PASSWORD}}")
    elif kind == "oauth2_client_credentials":
        settings = f"client_id: {prefix}_CLIENT_ID, client_secret: {prefix}_CLIENT_SECRET"
        unknown = "" if profile.credentials.token_url else ", token_url: https://tenant.example.invalid/oauth/token"
        lines.append(f"  auth: {{type: {kind}, {settings}{unknown}}}")
    else:
        lines.append(f"  auth: {{type: bearer, token: {prefix}_TOKEN}}   # the name of a setting, never the secret")
    if not profile.users.disable:
        lines.append(
            "  deprovisioning: {out_of_scope: skip}   # or delete: there is no attribute active to disable with"
        )
    for path in imported.report.unmapped_required:
        lines.append(f"  # the vendor requires {path}: say under mappings.users where it comes from")
    return "\n".join(lines) + "\n"


def report_text(report: ImportReport, *, source: str) -> str:
    """The report as Markdown."""
    lines = [f"# Import of {report.title}", "", f"Read from `{source}`. What is marked assumed is not said there.", ""]
    lines += ["## Facts", "", "| About | Found | Line |", "|---|---|---|"]
    for fact in report.facts:
        lines.append(_row(fact.kind.value, fact.value, "assumed" if fact.assumed else str(fact.line)))
    lines += ["", "## Rows repaired", ""]
    if report.repaired:
        lines += ["| Line | Printed | Read as | Why |", "|---|---|---|---|"]
        lines += [
            _row(str(each.line), each.printed, each.path or "(left out)", each.reason) for each in report.repaired
        ]
    else:
        lines.append("None.")
    lines += ["", "## Rows refused", ""]
    if report.refused:
        lines += ["| Line | Printed | Why |", "|---|---|---|"]
        lines += [_row(str(each.line), each.printed, each.reason) for each in report.refused]
    else:
        lines.append("None.")
    return "\n".join(lines) + "\n"


def _row(*cells: str) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def _is_same(path: Path, text: str) -> bool:
    try:
        there = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return _without_day(there) == _without_day(text)


def _without_day(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("read_on:")]


def _setting_prefix(name: str) -> str:
    prefix = name.upper().replace("-", "_")
    return prefix if prefix[0].isalpha() else f"APP_{prefix}"


def _address_lines(imported: ImportedProfile) -> list[str]:
    known = imported.profile.base_url
    if known.choices:
        return [f"  region: {next(iter(known.choices))}   # one of {', '.join(known.choices)}"]
    if known.template is not None:
        gaps = dict.fromkeys(part.partition("}")[0] for part in known.template.split("{")[1:])
        values = ", ".join(f"{gap}: CHANGE-ME" for gap in gaps if gap != "region")
        lines = ["  region: CHANGE-ME"] if "region" in gaps else []
        return [*lines, f"  placeholders: {{{values}}}   # fills {known.template}"] if values else lines
    if known.default is not None:
        return [f"  base_url: {known.default}"]
    return ["  base_url: https://tenant.example.invalid/scim/v2   # the SCIM endpoint of your tenant"]
