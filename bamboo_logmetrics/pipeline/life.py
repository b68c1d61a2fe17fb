"""The life of a log, from its opening to its end."""

from __future__ import annotations

from enum import Enum


class Life(Enum):
    """The life of one log in one process.

    =========  =========  ==================================================================================
    from       to         when
    =========  =========  ==================================================================================
    OPEN       CLOSING    ``close``, the exit or SIGTERM has shut the channel
    CLOSING    ENDED      under the step lock: all is written, or what is left is counted as lost at the deadline
    CLOSING    ABANDONED  the deadline is over, and another thread holds the step lock: it is within the sink
    ABANDONED  ENDED      that thread is back: it has counted what is left and closed the file
    CLOSING    OPEN       fork: nobody closes the log in the child yet; its channel stays shut
    ABANDONED  ENDED      fork: the thread within the sink is not in the child
    =========  =========  ==================================================================================

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
