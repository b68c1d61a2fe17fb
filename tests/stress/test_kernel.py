"""A notebook's kernel, real: restarted as Jupyter does it, and killed."""

from __future__ import annotations

import pytest
from support.tools import flat, kinds, typed

import bamboo_logmetrics as blm

jupyter_client = pytest.importorskip("jupyter_client")

CELL = """
import bamboo_logmetrics as blm
log = blm.open_log({path!r}, durability={durability!r})
for number in range(1_000):
    assert log.emit(blm.SessionStarted(session_id=str(number), model="m"))
"""


def run(client, source):
    reply = client.execute_interactive(source, timeout=60)["content"]
    assert reply["status"] == "ok", reply


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize(("now", "durability"), [(False, "queue"), (True, "write")], ids=["restarted", "killed"])
def test_a_kernel_is_restarted(path, now, durability):
    """A restart writes everything that was queued; what durability "write" acknowledged survives a kill as well."""
    manager = jupyter_client.KernelManager(kernel_name="python3")
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        run(client, CELL.format(path=str(path), durability=durability))
        manager.restart_kernel(now=now)
        client.wait_for_ready(timeout=60)
        run(client, CELL.format(path=str(path), durability=durability) + "log.close()")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
    assert len(typed(path)) == 2_000
    assert len({line["writer"] for line in flat(path)}) == 2
    assert kinds(path).count("system.worker_stopped") == (1 if now else 2)
    assert blm.verify([path]).ok is not now
