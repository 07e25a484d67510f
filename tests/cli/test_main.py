import json
from importlib.metadata import version

DROP_IN = '''
from eventstream import Command, Step, hookimpl


class Redact(Step):
    """Remove what nobody should see."""

    name = "redact"


class Greet(Command):
    """Greet somebody, 100%."""

    name = "greet"

    def arguments(self, parser):
        parser.add_argument("who")

    def run(self, arguments):
        print("hello", arguments.who, "redact" in arguments.catalogue.offers["step"])
        return 3


@hookimpl
def eventstream_steps():
    return [Redact]


@hookimpl
def eventstream_commands():
    return [Greet]
'''


def test_version_and_usage(program):
    assert program("--version").stdout == f"eventstream {version('eventstream')}\n"
    assert program().returncode == 2
    assert "invalid choice" in program("nonsense").stderr
    assert "check" in program("--help").stdout


def test_a_drop_in_file_adds_steps_and_commands(program, tmp_path):
    (tmp_path / "redact.py").write_text(DROP_IN)
    done = program("greet", "ann", "--plugin", "./redact.py")
    assert (done.returncode, done.stdout, done.stderr) == (3, "hello ann True\n", "")
    assert program("--plugin", "redact.py", "greet", "ann").returncode == 3
    assert "Greet somebody, 100%." in program("--plugin", "redact.py", "--help").stdout
    assert program("greet", "ann").returncode == 2
    assert program("greet", "ann", EVENTSTREAM_PLUGINS="redact.py").returncode == 3


def test_a_process_of_its_own(eventstream, tmp_path):
    (tmp_path / "redact.py").write_text(DROP_IN)
    done = eventstream("greet", "ann", EVENTSTREAM_PLUGINS="redact.py")
    assert (done.returncode, done.stdout, done.stderr) == (3, "hello ann True\n", "")


def test_plugins_that_cannot_be_used_stop_the_start_without_a_traceback(program, tmp_path):
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")
    done = program("list", "--plugin", "broken.py")
    assert done.returncode == 1
    assert "broken.py:1" in done.stderr
    assert "nothing_of_this_name" in done.stderr
    assert "Traceback" not in done.stderr
    assert "does not exist" in program("list", "--plugin", "none.py").stderr


def test_a_plugin_cannot_take_a_built_in_command(program, tmp_path):
    (tmp_path / "p.py").write_text(DROP_IN.replace('"greet"', '"check"'))
    done = program("list", "--plugin", "p.py")
    assert (done.returncode, done.stdout) == (1, "")
    assert "command check is built in, and offered by p.py" in done.stderr


def test_list_names_kind_name_summary_and_origin(program, tmp_path):
    (tmp_path / "redact.py").write_text(DROP_IN)
    done = program("list", "--format", "json", "--plugin", "redact.py")
    rows = {(row["kind"], row["name"]): row for row in json.loads(done.stdout)}
    assert rows["step", "redact"]["summary"] == "Remove what nobody should see."
    assert rows["step", "redact"]["origin"].endswith("redact.py")
    assert rows["step", "persist"]["origin"] == f"eventstream {version('eventstream')}"
    assert rows["command", "greet"]
    text = program("list", "--plugin", "redact.py").stdout
    assert any(line.split()[:2] == ["step", "redact"] for line in text.splitlines())


def test_schema_includes_drop_ins(program, tmp_path):
    (tmp_path / "redact.py").write_text(DROP_IN)
    schema = json.loads(program("schema", "--plugin", "redact.py").stdout)
    assert schema["$defs"]["step.redact"]["description"] == "Remove what nobody should see."
