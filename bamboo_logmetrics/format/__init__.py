"""Records to lines and lines to records: pure functions.

``encoder`` makes lines (flatten, redact, lay out, truncate; or the fast path), ``parse`` reads them back, ``header``
decodes the few keys that identify a line, and ``layouts`` holds the forms of a line.
"""
