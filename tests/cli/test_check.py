import json
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEN_MISTAKES = """\
version: 1
server:
  bind: 0.0.0.0:3000
  limits: {body: 1 meg, batch: 0}
store:
  sqlit: {path: x.db}
keys:
  shop: {standard-webhooks: "${env:SHOP_KEY_THAT_IS_NOT_SET}"}
pipelines:
  - name: orders
    match: {type: "shop.*.created"}
    steps:
      - limit: {rate: 100, burts: 5, by: client}
      - validate: {schema: schemas/none.json}
      - persist
      - drop: {when: {type: x}}
  - name: orders
    steps: [fan_out]
outputs: [sse]
"""


def test_ten_mistakes_are_ten_located_problems(eventstream, tmp_path):
    (tmp_path / "p.yaml").write_text(TEN_MISTAKES)
    done = eventstream("check", "p.yaml", "--format", "json")
    assert (done.returncode, done.stderr) == (1, "")
    errors = [one for one in json.loads(done.stdout)["problems"] if one["severity"] == "error"]
    assert [(one["line"], one["pointer"]) for one in errors] == [
        (3, "/server/bind"),
        (4, "/server/limits/body"),
        (4, "/server/limits/batch"),
        (6, "/store/sqlit"),
        (8, "/keys/shop/standard-webhooks"),
        (11, "/pipelines/0/match/type"),
        (13, "/pipelines/0/steps/0/limit/burts"),
        (14, "/pipelines/0/steps/1/validate/schema"),
        (16, "/pipelines/0/steps/3"),
        (17, "/pipelines/1/name"),
    ]
    assert all(one["column"] > 0 and one["file"] == "p.yaml" for one in errors)
    assert all(one["hint"] for one in errors if one["pointer"] in ("/store/sqlit", "/pipelines/0/steps/0/limit/burts"))
    assert list(tmp_path.iterdir()) == [tmp_path / "p.yaml"]


def test_the_shipped_file_is_good_and_says_what_it_accepts(eventstream, tmp_path):
    shutil.copy(ROOT / "pipelines.yaml", tmp_path)
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    done = eventstream("check")
    assert (done.returncode, done.stderr) == (0, "")
    warning, summary = done.stdout.splitlines()
    assert "warning: validate: events of a type without a schema are accepted" in warning
    assert summary == "pipelines.yaml: 1 warning"


def test_the_shipped_file_honours_the_environment(program, tmp_path):
    shutil.copy(ROOT / "pipelines.yaml", tmp_path)
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    done = program("check", HOST="::1", PORT="99999999", CORS_ORIGINS="http://a.test,nonsense")
    assert done.returncode == 1
    assert "/server/bind" in done.stdout
    assert "/server/cors/origins" in done.stdout
    assert "99999999" not in done.stdout


def test_github_form(program, tmp_path):
    (tmp_path / "p.yaml").write_text("version: 1\nversion: 1\n")
    done = program("check", "p.yaml", "--format", "github")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("::error file=p.yaml,line=2,col=1,title=/version::duplicate key")


def test_a_missing_file_is_said_plainly(program):
    done = program("check", "none.yaml")
    assert done.returncode == 1
    assert done.stdout.startswith("none.yaml: error: cannot read the configuration: No such file or directory")
