"""Client certificates made by openssl, checked by a real nginx, named to the server in headers."""

import shutil
import socket
import ssl
import subprocess

import httpx
import pytest

from eventstream.testing.process import wait_for

pytestmark = pytest.mark.skipif(
    not (shutil.which("openssl") and shutil.which("/usr/sbin/nginx")), reason="needs nginx and openssl"
)

NGINX = """
worker_processes 1;
daemon off;
pid nginx.pid;
error_log error.log;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  server {
    listen 127.0.0.1:%(port)d ssl;
    ssl_certificate server.pem;
    ssl_certificate_key server.key;
    ssl_client_certificate ca.pem;
    ssl_verify_client optional_no_ca;  # the careless setting: it passes on names that nobody vouches for
    location / {
      proxy_pass http://127.0.0.1:%(upstream)d;
      proxy_set_header Host localhost;
      proxy_set_header X-SSL-Client-S-DN $ssl_client_s_dn;
      proxy_set_header X-SSL-Client-Verify $ssl_client_verify;
    }
  }
}
"""
CONFIG = """
version: 1
server: {workers: 1, proxies: [127.0.0.1/32]}
store:
  sqlite: {path: data/events.db}
auth:
  chain: [client-certificate]
  grants:
    - {to: "shop, Köln", publish: {type: "shop.*"}}
    - {to: admin, publish: true, subscribe: true, admin: true}
pipelines:
  - name: all
    steps: [persist, fan_out]
outputs: [sse]
"""
SUBJECTS = {
    "shop": "/C=DE/O=Example/CN=shop, Köln",
    "two": "/CN=admin/CN=shop",
    "none": "/O=CN=admin",
    "slash": "/O=x,CN=admin/CN=guest",
    "foreign": "/CN=admin",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a CA, a server's certificate, and one for each of SUBJECTS; `foreign` is by another CA."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*words):
        done = subprocess.run(["openssl", *words], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr

    def request(name, subject):
        openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-utf8",
            "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject,
        )  # fmt: skip

    for ca in ("ca", "other"):
        request(ca, f"/CN={ca}")
        openssl("x509", "-req", "-in", f"{ca}.csr", "-signkey", f"{ca}.key", "-days", "2", "-out", f"{ca}.pem")
    for name, subject in {"server": "/CN=localhost", **SUBJECTS}.items():
        request(name, subject)
        ca = "other" if name == "foreign" else "ca"
        openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial",
            "-days", "2", "-out", f"{name}.pem",
        )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def behind(serve_module):
    return serve_module(CONFIG, workers=1)


@pytest.fixture(scope="module")
def post(folder, behind, free_port):
    """A function that POSTs an event through nginx with the certificate of this name, and reads the reply."""
    port = free_port()
    (folder / "nginx.conf").write_text(NGINX % {"port": port, "upstream": behind.port})
    process = subprocess.Popen(["/usr/sbin/nginx", "-p", f"{folder}/", "-c", "nginx.conf", "-e", "error.log"])

    def send(name=None, type="shop.order", **headers):
        trust = ssl.create_default_context(cafile=folder / "ca.pem")
        trust.check_hostname = False
        if name is not None:
            trust.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
        return httpx.post(f"https://127.0.0.1:{port}/events", json={"type": type}, headers=headers, verify=trust)

    def answers():
        try:
            return send().status_code
        except httpx.TransportError:
            return False

    try:
        wait_for(answers, "nginx to answer")
        yield send
    finally:
        process.terminate()
        process.wait(10)


def refusals(server):
    return [line["detail"] for line in server.events("refused")]


def test_a_certificate_names_its_holder(post):
    answer = post("shop")
    assert answer.status_code == 201, answer.text
    assert post("shop", type="bank.order").status_code == 403


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("foreign", "x-ssl-client-verify does not say SUCCESS"),
        ("two", "x-ssl-client-s-dn: 2 CN in the name, one is needed"),
        ("none", "x-ssl-client-s-dn: no CN in the name, one is needed"),
    ],
)
def test_certificates_that_name_nobody(post, behind, name, reason):
    answer = post(name)
    assert (answer.status_code, answer.json()["detail"]) == (401, "the credential is not accepted")
    wait_for(lambda: f"client-certificate: {reason}" in refusals(behind), "the reason in the log")


def test_a_value_that_looks_like_a_name_is_none(post):
    answer = post("slash", type="bank.order")
    assert answer.status_code == 403
    assert answer.json()["detail"].startswith("guest may not")


def test_nginx_overwrites_what_a_client_says(post):
    forged = {"X-SSL-Client-S-DN": "CN=admin", "X-SSL-Client-Verify": "SUCCESS"}
    underscores = {name.replace("-", "_"): value for name, value in forged.items()}
    for headers in (forged, underscores, {**forged, **underscores}):
        assert post(**headers).status_code == 403, "nobody may publish"
        assert post("shop", type="bank.order", **headers).status_code == 403


@pytest.mark.parametrize("join", ["-", "_"])
@pytest.mark.parametrize("source", ["127.0.0.2", "127.0.0.1"])
def test_only_the_proxy_is_believed(behind, source, join):
    body = b'{"type": "shop.order"}'
    name = "X-SSL-Client-S-DN: CN=admin\r\nX-SSL-Client-Verify: SUCCESS\r\n".replace("-", join)
    head = f"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{name}\r\n"
    head = head.replace("\r\n\r\n", "\r\nContent-Type: application/json\r\n\r\n")
    with socket.create_connection(("127.0.0.1", behind.port), timeout=5, source_address=(source, 0)) as sock:
        sock.sendall(head.encode() + body)
        status = sock.makefile("rb").readline().split()[1]
    if (source, join) == ("127.0.0.1", "-"):
        assert status == b"201", "this is how the proxy says it"
    else:
        assert status in (b"400", b"401", b"403")
