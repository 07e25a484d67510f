import json
import shutil
import urllib.request

from docs.markdown import ROOT

from eventstream.testing.process import ServerProcess


def test_every_route_of_the_openapi_document_is_described(tmp_path):
    page = (ROOT / "docs" / "reference" / "http.md").read_text()
    shutil.copy(ROOT / "pipelines.yaml", tmp_path)
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    with (
        ServerProcess(tmp_path / "pipelines.yaml") as server,
        urllib.request.urlopen(f"{server.url}/openapi.json", timeout=10) as answer,
    ):
        document = json.load(answer)
    assert [path for path in document["paths"] if f"{path}`" not in page] == []
