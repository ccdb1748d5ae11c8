"""What people changed at a vendor behind our back: found round by round, reported or repaired."""
