import logging
import os
import re
import signal
import subprocess
import sys

import pytest

from eventstream.telemetry.rotation import SharedFile
from eventstream.testing.process import wait_for

WRITER = """
import logging, os, sys
from eventstream.telemetry.rotation import SharedFile
file, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
handler = SharedFile(file, max_size=20_000, keep=500)
if os.fork() == 0:  # a descriptor from before a fork is not used after it
    name += "child"
for number in range(count):
    text = f"{name}:{number}:" + "x" * (number * 37 % 900) + ":end"
    handler.handle(logging.LogRecord("n", logging.INFO, "", 0, text, None, None))
os._exit(0) if name.endswith("child") else os.wait()
"""


def lines_of(folder):
    files = [path for path in folder.iterdir() if path.name.startswith("log") and not path.name.endswith(".lock")]
    return [line for path in files for line in path.read_text().splitlines()], files


def write(handler, text):
    handler.handle(logging.LogRecord("n", logging.INFO, "", 0, text, None, None))


def test_no_line_of_many_processes_is_lost_or_torn(tmp_path):
    file, count = tmp_path / "log", 400
    words = [sys.executable, "-c", WRITER, str(file)]
    writers = [subprocess.Popen([*words, f"w{number}", str(count)]) for number in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    lines, files = lines_of(tmp_path)
    assert len(files) > 10
    assert all(path.stat().st_size <= 20_000 for path in files)
    names = [name for number in range(3) for name in (f"w{number}", f"w{number}child")]
    wanted = {f"{name}:{number}:" + "x" * (number * 37 % 900) + ":end" for name in names for number in range(count)}
    assert sorted(lines) == sorted(wanted)


def test_a_killed_writer_keeps_nobody_from_writing(tmp_path):
    file = tmp_path / "log"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(file), "w", "1000000"], start_new_session=True)
    wait_for(lambda: len(list(tmp_path.iterdir())) > 4, "rotations")
    os.killpg(writer.pid, signal.SIGKILL)
    writer.wait()
    handler = SharedFile(file, max_size=20_000, keep=500)
    write(handler, "after")
    handler.close()
    assert file.read_text().splitlines()[-1] == "after"


def test_so_many_old_files_are_kept(tmp_path):
    handler = SharedFile(tmp_path / "log", max_size=10, keep=2)
    for number in range(6):
        write(handler, f"line{number}")
    handler.close()
    found = {path.name: path.read_text() for path in tmp_path.iterdir() if path.suffix != ".lock"}
    assert found == {"log": "line5\n", "log.1": "line4\n", "log.2": "line3\n"}


def test_without_old_files_only_the_newest_lines_stay(tmp_path):
    handler = SharedFile(tmp_path / "log", max_size=10, keep=0)
    for number in range(3):
        write(handler, f"line{number}")
    handler.close()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["log", "log.lock"]
    assert (tmp_path / "log").read_text() == "line2\n"


def test_a_file_renamed_by_somebody_else_is_left(tmp_path):
    file = tmp_path / "log"
    handler = SharedFile(file, max_size=0, keep=5)
    write(handler, "one")
    file.rename(tmp_path / "moved")
    write(handler, "two")
    handler.close()
    assert (file.read_text(), (tmp_path / "moved").read_text()) == ("two\n", "one\n")


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        SharedFile(tmp_path / "none" / "log", max_size=0, keep=0)


def test_what_cannot_be_encoded_is_still_written(tmp_path):
    handler = SharedFile(tmp_path / "log", max_size=0, keep=0)
    write(handler, "a\udc80b")
    handler.close()
    assert re.fullmatch(r"a\\udc80b\n", (tmp_path / "log").read_text())
