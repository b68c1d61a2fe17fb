"""The benchmark suite: what a log costs, beside other packages that do the same work.

Start reading at ``cli.py``, the commands. ``targets.py``, ``comparison.py``, ``latency.py`` and ``scaling.py`` say what
is measured; ``jobs/`` measure, each in a fresh process (``fresh.py``); ``peers/`` are the packages compared.
"""
