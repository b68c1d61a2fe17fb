"""Importers: other programs' session files, turned into events."""
