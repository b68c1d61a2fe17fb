"""The life of a log, from its opening to its end."""

from __future__ import annotations

from enum import Enum


class Life(Enum):
    """The life of one log in one process.

    =========  =========  ======================================================================================
    from       to         when
    =========  =========  ======================================================================================
    OPEN       CLOSING    ``close``, the exit or SIGTERM: the channel is shut
    CLOSING    ENDED      under the step lock: all is written, or the rest is counted as lost at the deadline
    CLOSING    ABANDONED  at the deadline, if another thread holds the step lock because it is within the sink
    ABANDONED  ENDED      under the step lock, once it is free: the rest is counted as lost, the file is closed
    CLOSING    OPEN       in a forked child, where nobody has called close; the channel stays shut
    ABANDONED  ENDED      in a forked child, where no thread is within the sink
    =========  =========  ======================================================================================

    Nothing leads out of ENDED, and nothing skips CLOSING. Each transition is one plain store, and no call stands
    between the store and a check that it depends on (see channel.py). So a signal handler, a finaliser or another
    thread sees the life before or after it.

    Two other facts are no part of the life: whether a worker thread exists (:meth:`Worker.wake` starts one when it is
    needed), and whether the file has got its last line (``Worker.finished``).
    """

    OPEN = "open"  # records are let in and written
    CLOSING = "closing"  # records are refused; what is queued is written
    ABANDONED = "abandoned"  # close has given up; a batch may still be within the sink
    ENDED = "ended"  # nothing more is written, and the file is closed


# Read here once: up to Python 3.11 it is a call to read a member from its class.
OPEN, CLOSING, ABANDONED, ENDED = Life
OVER = (ABANDONED, ENDED)  # no more records are taken
