"""Entra gallery provisioning tutorials, read and made into vendor profiles.

Text in, facts out: nothing here reads or writes a file (`shared.operations.profile_import` does).
"""

from shared.operations.tutorials.facts import Fact, FactKind
from shared.operations.tutorials.importing import ImportedProfile, ImportReport, import_tutorial
from shared.operations.tutorials.refusals import TutorialRefused
from shared.operations.tutorials.rows import Refusal, Repair

__all__ = [
    "Fact",
    "FactKind",
    "ImportReport",
    "ImportedProfile",
    "Refusal",
    "Repair",
    "TutorialRefused",
    "import_tutorial",
]
