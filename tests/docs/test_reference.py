import ast
import importlib.util

import pytest
from docs.markdown import ROOT

HOOKS = ROOT / "eventstream" / "hooks" / "specs.py"


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "reference").glob("*.md")), ids=lambda page: page.stem)
def test_generated_pages_are_up_to_date(generate, page):
    text = page.read_text()
    assert generate.regenerate(text) == text, "run: python docs/generate.py"


def test_every_region_is_used(generate):
    pages = "".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))
    assert {found[2] for found in generate.REGION.finditer(pages)} == set(generate.REGIONS)


def test_every_hook_is_documented_with_its_signature(generate):
    page = (ROOT / "docs" / "reference" / "hooks.md").read_text()
    hooks = [node for node in ast.parse(HOOKS.read_text()).body if isinstance(node, ast.FunctionDef)]
    assert len(hooks) >= 6
    for hook in hooks:
        assert f"## {hook.name}\n\n```python\n{generate.signature(hook)}\n```" in page


@pytest.mark.parametrize("kind", ["step", "store", "output", "route", "authenticator"])
def test_every_built_in_component_has_a_section(generate, kind):
    page = (ROOT / "docs" / "reference" / f"{kind}s.md").read_text()
    offers = generate.catalogue().offers[kind].values()
    ours = [offer.name for offer in offers if offer.component.__module__.startswith(generate.OURS)]
    assert ours
    assert [name for name in ours if f"\n## {name}\n" not in page] == []
