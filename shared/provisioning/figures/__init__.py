"""Figures about an application that are too dear to be counted at every look: kept in rows, some minutes old."""
