import pytest

from eventstream import Duration, Rate, Size
from eventstream.config.model import Bind, Network, Origin


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("127.0.0.1:3000", "127.0.0.1", 3000, True),
        ("[::1]:0", "::1", 0, True),
        ("[::]:65535", "::", 65535, False),
        ("events.example:80", "events.example", 80, False),
        ("localhost:80", "localhost", 80, True),
    ],
)
def test_addresses(text, host, port, loopback):
    bind = Bind.parse(text)
    assert (bind.host, bind.port, bind.loopback) == (host, port, loopback)


@pytest.mark.parametrize(
    "text", ["", ":80", "3000", "::1:80", "a:b", "a:65536", "a:-1", "http://a:80", "a b:80", "a:80\n", 80]
)
def test_what_is_no_address(text):
    with pytest.raises(ValueError, match=r"such as 127\.0\.0\.1:3000"):
        Bind.parse(text)


@pytest.mark.parametrize("text", ["*", "null", "https://a.test", "http://localhost:5173", "http://[::1]:80"])
def test_origins(text):
    assert Origin.parse(text) == text


@pytest.mark.parametrize(
    "text", ["", "a.test", "https://a.test/", "https://*.test", "HTTPS://a", "https://a.test\n", 5]
)
def test_what_is_no_origin(text):
    with pytest.raises(ValueError, match=r"such as https://shop\.example"):
        Origin.parse(text)


def test_networks():
    assert Network.parse("10.0.0.0/8") == "10.0.0.0/8"
    assert Network.parse("::1") == "::1"
    for wrong in ("10.0.0.1/8", "example.org", "", 5, None):
        with pytest.raises(ValueError, match="no address or network"):
            Network.parse(wrong)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Duration(0.25), "250ms"), (Duration(90), "90s"), (Duration(3600), "1h"), (Duration(7 * 86400), "7d"),
        (Duration(0), "0s"), (Size(2**20), "1MiB"), (Size(1000), "1kB"), (Size(1500), "1500B"),
        (Rate(1000), "1000/s"), (Rate(0.5), "30/m"), (Rate(1 / 3600), "1/h"),
    ],
)  # fmt: skip
def test_quantities_are_written_as_one_reads_them(value, text):
    assert value.written() == text
    assert type(value).parse(text) == value if value else True
