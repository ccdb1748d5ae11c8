"""The triggers: decode, call one service, encode. No rule is decided here."""
