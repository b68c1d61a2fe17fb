"""Files that commands write instead of printing."""

from __future__ import annotations

import click
import pytest

from bamboo_logmetrics.cli.output_file import open_output


def test_a_new_file(tmp_path):
    """A new file has what was written; one that exists is refused, and stays as it is."""
    path = str(tmp_path / "x")
    with open_output(path) as file:
        file.write(b"data")
    with pytest.raises(click.UsageError, match="x exists; remove it"), open_output(path):
        pass
    assert (tmp_path / "x").read_bytes() == b"data"


def test_no_directory(tmp_path):
    """A directory that does not exist is named."""
    with pytest.raises(FileNotFoundError, match="make it first"), open_output(str(tmp_path / "no" / "x")):
        pass


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_after_an_exception_there_is_no_file(tmp_path, error):
    """A file that is not whole is removed."""
    with pytest.raises(error), open_output(str(tmp_path / "x")) as file:
        file.write(b"half")
        raise error
    assert not list(tmp_path.iterdir())


def test_the_name_comes_with_the_whole_file(tmp_path):
    """Until it is whole, a file does not have its name; one that was made meanwhile is kept."""
    path = tmp_path / "x"
    with open_output(str(path)) as file:
        file.write(b"data")
        assert not path.exists()
    assert [*tmp_path.iterdir()] == [path]
    with pytest.raises(click.UsageError, match="exists"), open_output(str(tmp_path / "y")) as file:
        (tmp_path / "y").write_bytes(b"of another program")
    assert (tmp_path / "y").read_bytes() == b"of another program"
    assert len([*tmp_path.iterdir()]) == 2


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    """The error names the file that was asked for, not the temporary one."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError, match="file/x"), open_output(str(tmp_path / "file" / "x")):
        pass


@pytest.mark.parametrize("name", ["", "folder/"])
def test_a_name_that_is_none(tmp_path, name):
    """An empty name is refused before anything is read."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(click.UsageError, match="give one with -o"), open_output(name and f"{tmp_path}/new/"):
        pass
