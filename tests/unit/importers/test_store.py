"""The store of known ids: settings, versions, damaged files, and the lock of two imports."""

from __future__ import annotations

import os
import sqlite3

import pytest

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.importers import store as store_module
from bamboo_logmetrics.importers.run import lock_path, open_store, store_path
from bamboo_logmetrics.importers.store import ImportLock, Store, key_of


def test_settings_and_keys(tmp_path):
    """Committed values are there again, others are gone."""
    path = str(tmp_path / "s")
    store = Store(path)
    store.set("a", 1)
    store.add_keys([key_of("x"), key_of("y")], 7)
    store.move_key(key_of("moved"), 7)
    assert store.item_of(key_of("x")) == 7
    store.flush()
    store.commit()
    store.set("a", 2)
    store.close()
    store = Store(path)
    assert (store.get("a"), store.get("b")) == (1, None)
    assert (store.item_of(key_of("x")), store.item_of(key_of("z"))) == (7, None)
    assert not store.add_key(key_of("x"), 8)
    many = [key_of(number) for number in range(1200)]
    store.add_keys(many, 9)
    store.flush()
    store.expect([*many, key_of("none")])
    assert {store.item_of(key) for key in many} == {9}
    assert store.item_of(key_of("none")) is None
    store.close()


def test_a_newer_version(tmp_path):
    """A store of a newer version is refused with the remedy."""
    path = str(tmp_path / "s")
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigError, match="is of a newer version; update this package"):
        Store(path)


def test_a_file_that_is_no_store(tmp_path):
    """Another file is refused with the remedy."""
    path = tmp_path / "s"
    path.write_bytes(b"x" * 5000)
    with pytest.raises(ConfigError, match="remove it, and the ids are read from the log again"):
        Store(str(path))


def test_a_disk_that_takes_nothing(tmp_path):
    """Where nothing can be saved, the store works in memory and says why."""
    store = Store(str(tmp_path / "no" / "such" / "folder"))
    assert "unable to open" in store.error
    store.set("a", 1)
    assert store.get("a") == 1
    store.close()


def test_the_second_import_waits_and_says_for_whom(tmp_path, monkeypatch):
    """The lock is held by one; the next is told the process that holds it, once, and gets it afterwards."""
    first, second = ImportLock(str(tmp_path / "l")), ImportLock(str(tmp_path / "l"))
    told = []
    first.acquire(told.append)
    pauses = iter([lambda: None, first.release])
    monkeypatch.setattr(store_module.time, "sleep", lambda _: next(pauses)())
    second.acquire(told.append)
    assert len(told) == 1
    assert told[0].startswith("process ")
    second.release()
    second.release()


@pytest.mark.parametrize("kind", ["fifo", "link"])
def test_files_of_an_import(tmp_path, kind):
    """The lock and the store of an import have the log's mode, and something else in their place is refused."""
    log = tmp_path / "a.jsonl"
    log.touch()
    log.chmod(0o660)
    previous = os.umask(0o077)
    try:
        lock = ImportLock(lock_path(str(log)), str(log))
        lock.acquire(lambda _: None)
        lock.release()
        open_store(str(log), exists=False).close()
    finally:
        os.umask(previous)
    for path in (lock_path(str(log)), store_path(str(log))):
        assert os.stat(path).st_mode & 0o777 == 0o660
        os.unlink(path)
        os.mkfifo(path) if kind == "fifo" else os.symlink(tmp_path / "nowhere", path)
    with pytest.raises(OSError, match="not a regular file, or a symbolic link"):
        ImportLock(lock_path(str(log)), str(log)).acquire(lambda _: None)
    with pytest.raises(OSError, match="not a regular file, or a symbolic link"):
        open_store(str(log), exists=True)
    assert not (tmp_path / "nowhere").exists()
