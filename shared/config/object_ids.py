"""What Microsoft Entra ID calls its users and groups by."""

import re

OBJECT_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
"""A GUID. Whatever else comes as an id, out of a page or a message, may be somebody's name: it goes no further."""
