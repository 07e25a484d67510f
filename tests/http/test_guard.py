import msgspec
import pytest

from eventstream.components.component import convert
from eventstream.config.model import Server
from eventstream.errors import Reject
from eventstream.http.guard import Guard


def guard(**settings):
    return Guard(convert({"bind": "127.0.0.1:3000", **settings}, Server))


def refusal(call, *arguments):
    with pytest.raises(Reject) as caught:
        call(*arguments)
    return caught.value.status


@pytest.mark.parametrize("host", ["localhost", "LocalHost:3000", "127.0.0.1", "[::1]:1", "127.0.0.5:3000"])
def test_on_loopback_loopback_names_and_the_address_itself_are_ours(host):
    guard(bind="127.0.0.5:3000").check_host(host, "HTTP/1.1")


def test_another_loopback_address_is_not():
    assert refusal(guard().check_host, "127.0.0.2", "HTTP/1.1") == 421


def test_named_hosts_replace_the_loopback_names():
    judge = guard(hosts=["Events.example"])
    judge.check_host("events.EXAMPLE:443", "HTTP/1.1")
    assert refusal(judge.check_host, "localhost", "HTTP/1.1") == 421


def test_elsewhere_any_proper_host_is_ours():
    judge = guard(bind="0.0.0.0:80", public="anyone may publish and subscribe")
    judge.check_host("whatever.example", "HTTP/1.1")
    assert refusal(judge.check_host, "a b", "HTTP/1.1") == 400


@pytest.mark.parametrize("host", [None, "", "a/b", "a@b", "a b", "a:b", "a:123456", "[::1", "é", "a,b", "a\n"])
def test_an_improper_host_is_400(host):
    assert refusal(guard().check_host, host, "HTTP/1.1") == 400


@pytest.mark.parametrize(
    ("origins", "origin", "path", "allowed"),
    [
        (["*"], "https://a.example", "/events", True),
        (["*"], "null", "/events/ws", True),
        (["*"], "https://a.example", "/", False),
        (["*"], "https://a.example", "/eventsx", False),
        (["*"], "https://a.example", "/-/metrics", False),
        (["https://a.example"], "https://a.example", "/events", True),
        (["https://a.example"], "http://a.example", "/events", False),
        (["https://a.example"], "https://a.example:8443", "/events", False),
        (["https://a.example"], "https://a.example.evil", "/events", False),
        (["https://a.example"], "null", "/events", False),
        (["null"], "null", "/events", True),
        ([], "https://a.example", "/events", False),
    ],
)
def test_origins_are_allowed_on_cors_paths_only_and_exactly(origins, origin, path, allowed):
    judge = guard(cors={"origins": origins})
    assert judge.allows(origin, path) == allowed
    if not allowed:
        assert refusal(judge.check_origin, origin, "localhost", path) == 403


def test_a_page_of_our_own_host_is_always_allowed():
    guard().check_origin("http://localhost:3000", "LOCALHOST:3000", "/-/health")
    assert refusal(guard().check_origin, "http://localhost:3001", "localhost:3000", "/events") == 403


def test_null_is_nobody_s_own_host():
    assert refusal(guard().check_origin, "null", None, "/events") == 403
    assert refusal(guard().check_origin, "http://", "", "/events") == 403


def test_credentials_and_any_origin_do_not_go_together():
    with pytest.raises(msgspec.ValidationError, match="name the origins"):
        guard(cors={"origins": ["*"], "credentials": True})


XFF, FORWARDED = "x-forwarded-for", "forwarded"


@pytest.mark.parametrize(
    ("peer", "headers", "client"),
    [
        ("10.0.0.1", {}, "10.0.0.1"),
        ("10.0.0.1", {XFF: "9.9.9.9"}, "9.9.9.9"),
        ("10.0.0.1", {XFF: "6.6.6.6, 9.9.9.9"}, "9.9.9.9"),
        ("10.0.0.1", {XFF: "6.6.6.6,9.9.9.9, 10.0.0.7"}, "9.9.9.9"),
        ("10.0.0.1", {XFF: "2001:db8::1"}, "2001:db8::1"),
        ("10.0.0.1", {XFF: "10.0.0.2, 10.0.0.3"}, "10.0.0.1"),
        ("10.0.0.1", {XFF: "9.9.9.9, junk"}, "10.0.0.1"),
        ("10.0.0.1", {XFF: ", ,"}, "10.0.0.1"),
        ("8.8.8.8", {XFF: "9.9.9.9"}, "8.8.8.8"),
        ("10.0.0.1", {FORWARDED: "for=9.9.9.9"}, "9.9.9.9"),
        ("10.0.0.1", {FORWARDED: 'for=6.6.6.6, For="9.9.9.9:4711";proto=https;by=10.0.0.1'}, "9.9.9.9"),
        ("10.0.0.1", {FORWARDED: 'for="[2001:db8::1]:4711"'}, "2001:db8::1"),
        ("10.0.0.1", {FORWARDED: "for=9.9.9.9, for=_hidden"}, "10.0.0.1"),
        ("10.0.0.1", {FORWARDED: "for=9.9.9.9, for=unknown"}, "10.0.0.1"),
        ("10.0.0.1", {FORWARDED: "proto=https"}, "10.0.0.1"),
        ("10.0.0.1", {FORWARDED: "for=9.9.9.9", XFF: "9.9.9.9"}, "9.9.9.9"),
        ("10.0.0.1", {FORWARDED: "for=6.6.6.6", XFF: "9.9.9.9"}, "10.0.0.1"),
        ("10.0.0.1", {FORWARDED: "", XFF: "9.9.9.9"}, "10.0.0.1"),
        ("::1", {XFF: "9.9.9.9"}, "9.9.9.9"),
        ("", {XFF: "9.9.9.9"}, ""),
    ],
)
def test_the_client_is_the_right_most_hop_that_is_no_proxy_of_ours(peer, headers, client):
    assert guard(proxies=["10.0.0.0/8", "::1"]).client(peer, headers) == client


def test_without_proxies_nobody_is_believed():
    assert guard().client("127.0.0.1", {XFF: "9.9.9.9"}) == "127.0.0.1"


@pytest.mark.parametrize(
    ("peer", "believed"), [("10.0.0.1", True), ("::1", True), ("127.0.0.1", False), ("", False), ("unix", False)]
)
def test_only_proxies_are_believed_about_the_client(peer, believed):
    assert guard(proxies=["10.0.0.0/8", "::1"]).proxied(peer) is believed
    assert guard().proxied(peer) is False


@pytest.mark.parametrize("origins", [["*"], ["https://shop.example"]])
def test_pages_of_other_origins_act_as_nobody_unless_credentials_are_allowed(origins):
    judge = guard(cors={"origins": origins})
    assert judge.foreign("https://shop.example", "localhost:3000")
    assert judge.foreign("http://localhost:3001", "localhost:3000")
    assert judge.foreign("null", None)
    assert not judge.foreign("http://localhost:3000", "LOCALHOST:3000")
    assert not judge.foreign(None, "localhost:3000")
    allowed = guard(cors={"origins": ["https://shop.example"], "credentials": True})
    assert not allowed.foreign("https://shop.example", "localhost:3000")
