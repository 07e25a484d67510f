import hashlib

import pytest

from eventstream import Duration
from eventstream.errors import ConfigError

GOOD = """\
version: 1
server:
  bind: ${env:HOST:-127.0.0.1}:${env:PORT:-3000}
  workers: ${env:WORKERS:-2}
  cors: {origins: ["${env:CORS_ORIGINS:-*}"]}
store:
  disk: {path: "${env:DATA_PATH:-data}/events.db"}
  keep: {age: 1h}
keys:
  shop: {standard-webhooks: "${env:SHOP_KEY}"}
pipelines:
  - name: orders
    match: {type: "shop.order.*"}
    steps:
      - verify
      - limit: {rate: 100/s, by: key, on_error: reject}
      - validate: {on_error: drop}
      - persist
      - fan_out
  - name: default
    steps: [persist, fan_out]
outputs:
  - sse: {path: /here}
"""
SECRET = "whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
SMALL = "version: 1\nstore: {disk: {path: x}}\npipelines: [{name: a, steps: [persist, fan_out]}]\noutputs: [sse]\n"


def test_a_whole_file_becomes_settings(load, tmp_path):
    settings = load(GOOD, {"SHOP_KEY": SECRET, "CORS_ORIGINS": "http://a.test, https://b.test"})
    assert settings.server.address == ("127.0.0.1", 3000)
    assert settings.server.workers == 2
    assert settings.server.cors.origins == ["http://a.test", "https://b.test"]
    assert (settings.store.name, settings.store.config.path) == ("disk", "data/events.db")
    assert settings.store.kept is settings.keep
    assert settings.keep.age == 3600
    (key,) = settings.keys
    assert (key.kid, key.owner, key.kind, key.private) == ("shop", "shop", "hmac", bytes(range(1, 33)))
    assert settings.keyring is None
    assert [pipeline.name for pipeline in settings.pipelines] == ["orders", "default"]
    steps = settings.pipelines[0].steps
    assert steps[1].place == "pipelines.orders.steps[1].limit"
    assert [step.on_error for step in steps] == ["reject", "reject", "drop", "reject", "reject"]
    assert settings.outputs[0].config.path == "/here"
    assert settings.warnings == []
    assert (settings.text, settings.digest) == (GOOD, hashlib.sha256(GOOD.encode()).hexdigest())
    assert settings.folder == str(tmp_path)


def test_settings_show_no_secrets(load):
    settings = load(GOOD.replace("${env:SHOP_KEY}", SECRET), {})
    assert SECRET not in repr(settings)
    assert SECRET.removeprefix("whsec_") not in repr(settings)
    assert repr(settings.keys[0].private) not in repr(settings)


def test_the_defaults_are_the_documented_ones(load):
    server = load(SMALL).server
    assert server.bind == "127.0.0.1:3000"
    assert server.loopback
    assert server.metrics_public
    assert (server.limits.body, server.limits.batch, server.limits.subscribers) == (2**20, 1000, 16_000)
    assert server.timeouts.keep_alive == Duration(65)


def test_the_command_line_wins(load, problems):
    server = load(GOOD, {"SHOP_KEY": SECRET}, bind="127.0.0.1:8000", workers=4).server
    assert (server.bind, server.workers) == ("127.0.0.1:8000", 4)
    assert load(GOOD, {"SHOP_KEY": SECRET}, bind=None).server.bind == "127.0.0.1:3000"
    (problem,) = problems(SMALL, bind="nowhere")
    assert problem == "0:0 error --bind: bind: 'nowhere' is no address such as 127.0.0.1:3000 or [::1]:3000"


@pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3", "[::]", "example.org"])
def test_an_open_server_on_the_network_must_be_meant(load, problems, host):
    (problem,) = problems(SMALL, bind=f"{host}:80")
    assert "can be reached from other machines" in problem
    said = f"server: {{bind: '{host}:80', public: anyone may publish and subscribe}}\n"
    server = load(SMALL + said).server
    assert not server.metrics_public
    (problem,) = problems(SMALL + said.replace("anyone", "any one"))
    assert "invalid enum value" in problem


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "[::1]", "localhost"])
def test_loopback_needs_no_words(load, host):
    assert load(SMALL, bind=f"{host}:0").server.loopback


@pytest.mark.parametrize("version", ["2", "'1'", "true", "1.0", ""])
def test_an_unknown_version_is_refused(problems, version):
    (problem,) = problems(SMALL.replace("version: 1", f"version: {version}"))
    assert problem.startswith("1:")
    assert "version" in problem


def test_missing_sections_are_told(problems):
    assert problems("server: {}\n") == [
        "1:1 error pipelines: section pipelines is missing",
        "1:1 error store: section store is missing",
        "1:1 error version is missing",
    ] or problems("server: {}\n") == [
        "1:1 error version is missing",
        "1:1 error section store is missing",
        "1:1 error section pipelines is missing",
    ]


@pytest.mark.parametrize("text", ["", "- a\n", "text\n"])
def test_what_is_no_mapping_is_refused(problems, text):
    assert problems(text) == ["1:1 error a configuration is a mapping"]


def test_unknown_words_get_the_nearest_right_one(load):
    with pytest.raises(ConfigError) as caught:
        load(
            "version: 1\nservr: {}\nserver: {limits: {bdy: 1}}\nstore: {dsik: {path: x}}\n"
            "pipelines: [{name: a, stepz: [], steps: [persits]}]\noutputs: [ses]\n"
        )
    hints = {problem.message: problem.hint for problem in caught.value.problems}
    assert hints == {
        "unknown section servr": "did you mean server?",
        "unknown field bdy": "did you mean body?",
        "unknown store dsik": "did you mean disk?",
        "unknown field stepz": "did you mean steps?",
        "unknown step persits": "did you mean persist?",
        "unknown output ses": "did you mean sse?",
    }


@pytest.mark.parametrize(
    ("store", "message"),
    [
        ("{}", "no store, expected one"),
        ("{keep: {age: 1d}}", "no store, expected one"),
        ("{disk: {path: x}, memory: {}}", "2 stores: disk, memory, expected one"),
        ("disk", "store: expected a mapping"),
        ("{disk: {}}", "field path is missing"),
        ("{memory: {}}", "store memory lives in one process, and there are 2 workers"),
        ("{disk: {path: x}, keep: {age: soon}}", "age: 'soon' is not a duration such as 250ms, 15s, 5m, 1h or 7d"),
    ],
)
def test_stores_are_judged(problems, store, message):
    (problem,) = problems(SMALL.replace("{disk: {path: x}}", store))
    assert problem.partition(" error ")[2] == message


def test_one_worker_may_use_a_store_of_one_process(load):
    assert load(SMALL.replace("{disk: {path: x}}", "{memory: }"), workers=1).store.name == "memory"


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ("sse", "outputs: expected a list"),
        ("[sse, sse]", "output sse stands twice at /events"),
        ("[{sse: {path: 5}}]", "path: expected text, got a whole number"),
        ("[{sse: {}, ws: {}}]", "an output is a name, or one name with its options"),
        ("[[]]", "an output is a name, or one name with its options"),
    ],
)
def test_outputs_are_judged(problems, outputs, message):
    (problem,) = problems(SMALL.replace("[sse]", outputs))
    assert problem.partition(" error ")[2] == message


def test_no_output_is_a_warning(load):
    (warning,) = load(SMALL.replace("outputs: [sse]\n", "")).warnings
    assert (warning.severity, warning.message) == ("warning", "without outputs nobody can subscribe")


def test_certificates_must_be_readable(load, problems, tmp_path):
    text = SMALL + "server: {tls: {cert: a.pem, key: b.pem}}\n"
    assert [one.partition("error ")[2] for one in problems(text)] == [
        f"cannot read {tmp_path}/a.pem: No such file or directory",
        f"cannot read {tmp_path}/b.pem: No such file or directory",
    ]
    (tmp_path / "a.pem").touch()
    (tmp_path / "b.pem").touch()
    assert load(text).server.tls.cert == "a.pem"


def test_many_mistakes_are_told_at_once_in_the_files_order(problems):
    text = """\
version: 1
server:
  workers: 0
  cors: {origins: [shop.example], credentials: maybe}
store:
  disk: {pth: x}
pipelines:
  - name: or ders
    match: {Type: x}
    steps:
      - limit: {rate: fast, burst: 0, on_error: drop}
      - persist
      - validate
  - name: b
    steps: [{validate: {schema: none.json, on_error: dead_letter}}, persist]
outputs: [sse: {path: 1}]
"""
    assert [one.partition(":")[0] for one in problems(text)] == list("3446689") + ["11"] * 3 + ["13", "15", "15", "16"]
    assert len(problems(text)) == 14


def test_one_missing_variable_is_one_problem(problems):
    assert problems(GOOD.replace("${env:WORKERS:-2}", "${env:WORKERS}"), {"SHOP_KEY": SECRET}) == [
        "4:12 error environment variable WORKERS is not set"
    ]
    assert problems(GOOD, {}) == ["10:29 error environment variable SHOP_KEY is not set"]
