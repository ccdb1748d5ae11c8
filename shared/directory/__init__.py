"""The source side: Microsoft Graph, read as raw delta pages into a mirror."""
