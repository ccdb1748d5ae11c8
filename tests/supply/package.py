"""What is deployed: the files .funcignore leaves, as `func azure functionapp publish` and azd would take them.

`python -m tests.supply.package app.zip` writes them as a package for a remote build, the same bytes for the same files.
"""

from __future__ import annotations

import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from pathspec import GitIgnoreSpec

from tests.infra.templates import ROOT, Finding

APP_FOLDERS = ("functions", "shared")
APP_FILES = ("function_app.py", "host.json", "requirements.txt")
LARGEST_BYTES = 3_000_000
"""Unpacked. The app's own files; its packages come with the remote build."""
_NEVER_TAKEN_BY_FUNC = ((".git", ".vscode"), (".funcignore", ".gitignore", "local.settings.json", "project.lock.json"))
"""Folders and files, by name, wherever they are."""
_IGNORED = ".funcignore"


def files_for_func(root: Path = ROOT) -> list[str]:
    """What Azure Functions Core Tools take, as paths below the root, sorted."""
    ignored = _ignored_by_func(root)
    return [path for path in _files(root, ignored) if not ignored(path)]


def files_for_azd(root: Path = ROOT) -> list[str]:
    """What azd takes: .funcignore read as git reads a .gitignore, and never that file itself."""
    ignored = GitIgnoreSpec.from_lines(_lines(root)).match_file
    return [path for path in _files(root, ignored) if path != _IGNORED and not ignored(path)]


def check_package(root: Path = ROOT) -> Iterator[Finding]:
    """The app, whole and alone, whoever packs it."""
    funcignore = root / _IGNORED
    for number, line in enumerate(funcignore.read_text().splitlines(), 1):
        if line.startswith("!") or line.endswith("/"):
            yield Finding(path=funcignore, line=number, text=f"{line}: func would read it otherwise than azd")
    taken = files_for_func(root)
    for path in sorted({*taken} ^ {*files_for_azd(root)}):
        who = "func, not azd," if path in taken else "azd, not func,"
        yield Finding(path=funcignore, line=1, text=f"{who} would deploy {path}")
    for path in taken:
        if not is_of_the_app(path):
            yield Finding(path=funcignore, line=1, text=f"{path} would be deployed, and is not the app's")
    for path in APP_FILES:
        if path not in taken:
            yield Finding(path=funcignore, line=1, text=f"{path} would not be deployed")
    size = sum((root / path).stat().st_size for path in taken)
    if size > LARGEST_BYTES:
        yield Finding(path=funcignore, line=1, text=f"{size:,} bytes would be deployed, more than {LARGEST_BYTES:,}")


def is_of_the_app(path: str) -> bool:
    """Whether the running app may need a file: code and what lies beside it, and the tenant's YAML at the root."""
    folder, _, name = path.partition("/")
    if not name:
        return path in APP_FILES or path.endswith((".yaml", ".yml"))
    return folder in APP_FOLDERS and not any(part.startswith(".") for part in path.split("/"))


def write_package(target: Path, root: Path = ROOT) -> int:
    """Writes the files as a zip archive and answers with its size in bytes."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files_for_func(root):
            entry = zipfile.ZipInfo(path, date_time=(2020, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, (root / path).read_bytes(), zipfile.ZIP_DEFLATED)
    return target.stat().st_size


def _lines(root: Path) -> list[str]:
    written = (root / _IGNORED).read_text().splitlines()
    return [line.strip() for line in written if line.strip() and not line.startswith("#")]


def _ignored_by_func(root: Path) -> Callable[[str], bool]:
    patterns = [_as_func_reads(line) for line in _lines(root)]
    folders, names = _NEVER_TAKEN_BY_FUNC

    def ignored(path: str) -> bool:
        *parents, name = path.split("/")
        return any(each in folders for each in parents) or name in names or any(each.match(path) for each in patterns)

    return ignored


def _as_func_reads(line: str) -> re.Pattern[str]:
    """A line matches the beginning of a path, up to the end of a word; one star stays in a folder, two do not."""
    literal = {"**": ".+", "*": "[^/]+"}
    parts = re.split(r"(\*\*|\*)", line.removeprefix("/"))
    return re.compile("".join(literal.get(part, re.escape(part)) for part in parts) + r"\b")


def _files(root: Path, ignored: Callable[[str], bool]) -> Iterator[str]:
    """Every file, sorted, the ones git does not know too; ignored folders at the root are not looked into."""
    for name in sorted(each.name for each in root.iterdir()):
        if not (root / name).is_dir():
            yield name
        elif not ignored(f"{name}/any"):
            yield from sorted(each.relative_to(root).as_posix() for each in (root / name).rglob("*") if each.is_file())


if __name__ == "__main__":
    written_to = Path(sys.argv[1])
    sys.stdout.write(f"{written_to}: {len(files_for_func())} files, {write_package(written_to):,} bytes\n")
