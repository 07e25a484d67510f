"""The section `auth`: every fault with its place, and what remains where there is none."""

import pytest

from eventstream.components.identity import Grant
from eventstream.events.filter import EVERYTHING

HEAD = "version: 1\nstore: {disk: {path: x}}\noutputs: [sse]\npipelines: [{name: a, steps: [persist]}]\n"
PUBLIC = "server: {bind: 0.0.0.0:3000}\n"


def only(found):
    (problem,) = found
    return problem


def granted(settings):
    return [(entry.to, [(grant.right, grant.scope.key) for grant in entry.grants]) for entry in settings.auth.grants]


def test_without_the_section_nobody_is_asked(load):
    assert load(HEAD).auth is None


def test_a_chain_and_grants(load):
    settings = load(f"""{HEAD}auth:
  chain: [badge, {{badge: {{header: x-badge}}}}]
  grants:
    - {{to: shop, publish: {{type: "shop.*"}}}}
    - {{to: [ops, "till-*"], subscribe: [{{type: "shop.*"}}, {{source: [/a, /b]}}], admin: true, crypto: true}}
    - {{to: anonymous, subscribe: {{type: "public.*"}}}}
    - {{to: all, publish: true, subscribe: true}}
""")
    assert [one.config.header for one in settings.auth.chain] == ["badge", "x-badge"]
    assert granted(settings) == [
        (("shop",), [("publish", '[{"type":["shop.*"]},[]]')]),
        (
            ("ops", "till-*"),
            [
                ("subscribe", '[{"type":["shop.*"]},[]]'),
                ("subscribe", '[{"source":["/a","/b"]},[]]'),
                ("crypto", "[{},[]]"),
                ("admin", "[{},[]]"),
            ],
        ),
        (("anonymous",), [("subscribe", '[{"type":["public.*"]},[]]')]),
        (("all",), [("publish", "[{},[]]"), ("subscribe", "[{},[]]")]),
    ]
    assert settings.auth.grants[3].grants == (Grant("publish", EVERYTHING), Grant("subscribe", EVERYTHING))
    assert settings.warnings == []


CHAIN = "auth:\n  chain: [badge]\n  grants:\n"


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ("auth:\n", "5:6 error auth: expected a mapping"),
        ("auth:\n  # chain: [badge]\n", "5:6 error auth: expected a mapping"),
        ("auth: [badge]\n", "5:7 error auth: expected a mapping"),
        ("auth: {chain: [badge], grant: [], grants: [{to: a, admin: true}]}\n", "5:24 error unknown field grant"),
        ("auth: {chain: [bagde], grants: [{to: a, admin: true}]}\n", "5:16 error unknown authenticator bagde"),
        ("auth: {chain: [{badge: {haeder: x}}], grants: [{to: a, admin: true}]}\n", "5:25 error unknown field haeder"),
        (
            "auth: {chain: badge, grants: [{to: a, admin: true}]}\n",
            "5:15 error chain: expected a list of authenticators",
        ),
        (
            "auth: {chain: [], grants: [{to: a, admin: true}]}\n",
            "5:8 error nobody can say who they are: the chain is empty",
        ),
        ("auth: {grants: [{to: a, admin: true}]}\n", "5:1 error nobody can say who they are: the chain is empty"),
        ("auth: {chain: [badge], grants: shop}\n", "5:32 error grants: expected a list"),
        (f"{CHAIN}    - shop\n", "8:7 error a grant is a mapping"),
        (f"{CHAIN}    - {{to: a}}\n", "8:7 error this grant gives no right"),
        (f"{CHAIN}    - {{publish: true}}\n", "8:7 error to: expected the names of identities"),
        (f"{CHAIN}    - {{to: [], publish: true}}\n", "8:12 error to: expected the names of identities"),
        (f"{CHAIN}    - {{to: 7, publish: true}}\n", "8:12 error to: expected the names of identities"),
        (f"{CHAIN}    - {{to: 'a*b', publish: true}}\n", "8:12 error 'a*b': only a trailing * is a wildcard"),
        (f"{CHAIN}    - {{to: a, publsh: true}}\n", "8:15 error unknown right publsh"),
        (f"{CHAIN}    - {{to: a, publish: false}}\n", "8:24 error publish: expected true or patterns"),
        (f"{CHAIN}    - {{to: a, publish: []}}\n", "8:24 error publish: expected true or patterns"),
        (
            f"{CHAIN}    - {{to: a, publish: [{{}}]}}\n",
            "8:25 error publish: patterns without an attribute allow everything",
        ),
        (f"{CHAIN}    - {{to: a, publish: 'shop.*'}}\n", "8:24 error publish: expected true or patterns"),
        (f"{CHAIN}    - {{to: a, publish: ['shop.*']}}\n", "8:25 error publish: expected a mapping of attributes"),
        (f"{CHAIN}    - {{to: a, publish: {{Type: x}}}}\n", "8:25 error Type is no attribute name"),
        (f"{CHAIN}    - {{to: a, publish: {{type: 'a*b'}}}}\n", "8:31 error 'a*b': only a trailing * is a wildcard"),
        (f"{CHAIN}    - {{to: a, admin: {{type: x}}}}\n", "8:22 error admin: expected true"),
        (f"{CHAIN}    - {{to: [a, anonymous], admin: true}}\n", "8:28 error nobody unknown may administer"),
    ],
)
def test_what_is_wrong(problems, section, problem):
    assert only(problems(HEAD + section)) == problem


@pytest.mark.parametrize(
    ("grants", "warnings"),
    [
        ("[]", ["5:24 nobody may do anything: there are no grants"]),
        ("[{to: anonymos, publish: true}]", ["5:38 anonymos is an identity's name"]),
        (
            "[{to: 'a*', publish: true}, {to: ab, publish: {type: x}}]",
            ["5:60 this grant gives nothing new: line 5 gives all of it"],
        ),
        ("[{to: anonymous, publish: true}, {to: a, publish: true, admin: true}]", []),
        ("[{to: a, publish: {type: x}}, {to: a, publish: {type: xy}}]", []),
        ("[{to: '*', publish: true}, {to: anonymous, publish: true}]", []),
        ("[{to: [ops, '*'], admin: true}]", ["5:50 everybody who is known may administer"]),
        ("[{to: [a, b], publish: true}, {to: [b, c], publish: true}]", []),
    ],
)
def test_what_is_odd(load, grants, warnings):
    settings = load(f"{HEAD}auth: {{chain: [badge], grants: {grants}}}\n")
    assert [f"{one.line}:{one.column} {one.message}" for one in settings.warnings] == warnings


def test_signatures_alone_may_tell_who_publishes(load):
    text = HEAD.replace("[persist]", "[verify, persist]")
    assert load(f"{text}auth: {{grants: [{{to: shop, publish: true}}]}}\n").auth.chain == ()


def test_a_public_bind_needs_auth_or_words(load, problems):
    assert "can be reached from other machines" in only(problems(HEAD + PUBLIC))
    auth = "auth: {chain: [badge], grants: [{to: a, publish: true}]}\n"
    assert load(HEAD + PUBLIC + auth).warnings == []
    words = "server: {bind: 0.0.0.0:3000, public: anyone may publish and subscribe}\n"
    assert load(HEAD + words).auth is None
    (warning,) = load(HEAD + words + auth).warnings
    assert warning.message == "public has no effect beside auth"


def test_an_auth_section_with_a_fault_does_not_open_the_server(problems):
    assert only(problems(f"{HEAD}{PUBLIC}auth:\n")) == "6:6 error auth: expected a mapping"


def test_the_options_of_the_audit_log(load, problems):
    assert load(HEAD).server.audit is None
    assert load(f"{HEAD}server: {{audit: {{}}}}\n").server.audit.rate == 100
    assert "rate is greater than 0" in only(problems(f"{HEAD}server: {{audit: {{rate: 0/s}}}}\n"))
