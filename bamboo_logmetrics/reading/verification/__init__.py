"""Verifying a log: every line of every writer is accounted for, or the report names what is missing."""
