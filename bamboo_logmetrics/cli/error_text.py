"""Text for errors of the system, each with a remedy."""

from __future__ import annotations

import errno
import os

_REMEDIES = {
    errno.EACCES: "run the command as a user who may, or change the rights",
    errno.EPERM: "run the command as a user who may, or change the rights",
    errno.ELOOP: "the link leads back to itself: give the path of the file",
    errno.ENOSPC: "make room there, or use another place",
    errno.EDQUOT: "make room there, or use another place",
    errno.EROFS: "use another place",
    errno.EISDIR: "give the path of a file",
    errno.ENAMETOOLONG: "give a shorter path",
    errno.EMFILE: "raise the limit with ulimit -n, or give fewer files",
}


def error_text(error: Exception) -> str:
    """Return the text of an error; of one in the system's own words, with what can be done."""
    if not isinstance(error, OSError) or error.errno not in _REMEDIES or error.strerror != os.strerror(error.errno):
        return str(error)
    subject = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    return f"{subject}{error.strerror}; {_REMEDIES[error.errno]}"
