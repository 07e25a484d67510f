import pytest
from bench import cache


def test_a_missing_tool_is_the_reason():
    with pytest.raises(cache.Unavailable, match=r"^needs `no-such-tool-here`, which is not installed$"):
        cache.run(["no-such-tool-here", "x"])


def test_the_last_words_of_a_tool_are_the_reason_without_addresses():
    script = f"echo first >&2; echo '{'x' * 90} module reading https://host.example/a/b: 403 Forbidden' >&2; exit 3"
    with pytest.raises(cache.Unavailable) as caught:
        cache.run(["sh", "-c", script])
    assert str(caught.value) == "`sh -c` failed: … module 403 Forbidden"


def test_a_tool_that_hangs_is_the_reason():
    with pytest.raises(cache.Unavailable, match=r"took longer than 0\.1 s"):
        cache.run(["sh", "-c", "sleep 5"], seconds=0.1)


def test_packages_are_pinned(tmp_path):
    manifest = tmp_path / "package.json"
    manifest.write_text('{"dependencies": {"@scope/a": "1.2.3"}}')
    assert cache._pins(manifest) == ["@scope/a@1.2.3"]
