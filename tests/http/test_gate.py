import io

from eventstream.components.output import Response
from eventstream.config.model import Server
from eventstream.http.exchange import ADMIN, Facts, facts_of
from eventstream.http.gate import Gate
from eventstream.http.guard import Guard

FACTS = Facts("POST", "/events", "", "/events", "HTTP/1.1", {"host": "localhost"}, "127.0.0.1", False, None)


def gate():
    return Gate(Guard(Server()))


def opened(one, **headers):
    return one.open(one.visitor(FACTS._replace(headers=FACTS.headers | headers)), io.BytesIO())


def test_request_ids_differ_also_between_workers_unless_the_caller_names_a_harmless_one():
    gates = [gate(), gate()]
    assert len({opened(one).id for one in gates for _ in range(100)}) == 200
    assert opened(gates[0], **{"x-request-id": "mine-1"}).id == "mine-1"
    assert opened(gates[0], **{"x-request-id": "not mine"}).id != "not mine"


def test_a_target_s_own_host_counts_and_not_the_header_s():
    facts = FACTS._replace(authority="127.0.0.1")
    found = gate().visitor(facts)
    assert (found.headers["host"], found.client, found.refusal) == ("127.0.0.1", "127.0.0.1", None)
    assert facts.headers["host"] == "localhost"
    assert gate().visitor(FACTS._replace(authority="evil.example")).refusal.status == 421


def test_what_is_found_out_about_one_request_is_not_known_of_the_next_with_the_same_head():
    one = gate()
    visitor = one.visitor(FACTS)
    first = one.open(visitor, io.BytesIO())
    first.asked, first.identity = True, "somebody"
    second = one.open(visitor, io.BytesIO())
    assert (second.asked, second.identity) == (False, None)


def test_every_answer_is_finished_and_the_component_s_own_is_left_as_it_was():
    one = gate()
    mine = Response(200, {"Vary": "Accept", "X-A": "b"}, b"{}")
    for _ in range(2):
        exchange = opened(one, origin="https://shop.example")
        answer = one.finish(exchange, mine)
        assert answer.headers["vary"] == "Accept, Origin"
        assert answer.headers["x-a"] == "b"
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-request-id"] == exchange.id
    assert mine.headers == {"Vary": "Accept", "X-A": "b"}


def test_facts_are_read_from_wsgi_s_environ():
    environ = {
        "REQUEST_METHOD": "GET", "PATH_INFO": "/caf\xc3\xa9", "QUERY_STRING": "a=1", "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.1", "HTTP_X_A": "1", "CONTENT_TYPE": "text/plain", "CONTENT_LENGTH": "",
    }  # fmt: skip
    facts = facts_of(environ)
    assert facts == Facts(
        "GET",
        "/café",
        "a=1",
        "/café?a=1",
        "HTTP/1.1",
        {"x-a": "1", "content-type": "text/plain"},
        "192.0.2.1",
        False,
        None,
    )
    admin = facts_of(environ | {ADMIN: True, "RAW_URI": "http://other.example/x"})
    assert (admin.admin, admin.authority) == (True, "other.example")
