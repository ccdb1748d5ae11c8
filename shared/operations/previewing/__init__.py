"""What would happen: the consumer's own decisions, made from the mirror and the rows, and only shown.

previewer      the order of things: users, then each application's groups, until the time is over; the place is kept
accounts       what becomes of a handful of accounts of one application
members        what becomes of a group's memberships
walking        facts and rows of everybody side by side, a few requests per thousand
redaction      what a changed configuration must not bring to light
tally          what was counted so far, and how it travels in a cursor
report         what a person reads
"""
