"""Proof that nothing is missing in a log."""
