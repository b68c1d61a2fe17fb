"""Exit codes of all commands."""

from __future__ import annotations

OK = 0
FAILED = 1  # the command did its work, and something is missing, refused or not written
UNUSABLE = 2  # bad usage, or a file, a server or a package that cannot be used; click's own code for bad usage
INTERRUPTED = 130  # 128 + SIGINT, as in shells
TERMINATED = 143  # 128 + SIGTERM
