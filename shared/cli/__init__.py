"""The command line: the verbs of the HTTP API, for people and scripts."""
