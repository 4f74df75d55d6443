"""Requests that are for this page, and values of --public_url."""

import pytest

from colorization.errors import UserError
from colorization.server.addresses import foreign_address, is_local, parse_public_url


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("https://photos.example", "https://photos.example"),
        ("https://Photos.Example:443/", "https://photos.example"),
        ("http://photos.example:8080/colour/", "http://photos.example:8080/colour"),
        ("https://[2001:DB8::1]/a/b", "https://[2001:db8::1]/a/b"),
        ("http://bücher.example", "http://xn--bcher-kva.example"),
    ],
)
def test_public_urls_are_read_as_browsers_write_them(text, meant):
    assert str(parse_public_url(text)) == meant
    assert parse_public_url(meant) == parse_public_url(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "photos.example", "/colour", "ftp://photos.example", "https://", "https:///colour"),
        *("https://a:b@c.example", "https://c.example?x=1", "https://c.example#x", "http://[::1"),
        *("https://c.example:port", "https://c.example:99999", "https://c. example"),
    ],
)
def test_other_public_urls_are_refused(text):
    with pytest.raises(UserError, match=r"--public_url .*: name the address that people open"):
        parse_public_url(text)


def test_local_hosts():
    for host in ("127.0.0.1", "127.0.0.2", "localhost", "LOCALHOST", "::1"):
        assert is_local(host), host
    for host in (
        "0.0.0.0",
        "::",
        "192.0.2.1",
        "2001:db8::1",
        "photos.example",
        "127.0.0.1.example",
    ):
        assert not is_local(host), host


def foreign(public_url=None, any_host=False, **headers):
    url = parse_public_url(public_url) if public_url else None
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return foreign_address(named, url, any_host)


LOCAL = "127.0.0.1:7860"
PUBLIC = "https://photos.example"


@pytest.mark.parametrize(
    "host", [LOCAL, "localhost:8000", "LocalHost:80", "localhost", "[::1]:7860"]
)
def test_this_machine_asks_for_itself(host):
    assert foreign(host=host) is None
    assert foreign(host=host, origin=f"http://{host}") is None
    assert foreign(host=host, origin=f"http://{host}".lower()) is None


def test_a_proxy_of_this_machine_that_says_what_it_is_asked_for_needs_no_option():
    secure = {"host": "localhost:8443", "x_forwarded_proto": "https"}
    assert foreign(**secure, origin="https://localhost:8443") is None
    named = {"host": LOCAL, "x_forwarded_host": "localhost:8082"}
    assert foreign(**named, origin="http://localhost:8082") is None


@pytest.mark.parametrize(
    ("headers", "other"),
    [
        # Another site's name points to this machine, or another site makes the browser ask.
        ({"host": "evil.example:7860"}, "http://evil.example:7860"),
        ({"host": LOCAL, "origin": "http://evil.example"}, "http://evil.example"),
        ({"host": LOCAL, "origin": "http://127.0.0.1:8000"}, "http://127.0.0.1:8000"),
        ({"host": LOCAL, "origin": "null"}, "null"),
        ({"host": "evil.example", "x_forwarded_host": LOCAL}, f"http://{LOCAL}"),
        ({"host": "127.0.0.1@evil.example"}, "http://127.0.0.1@evil.example"),
        ({"host": "[127.0.0.1"}, "http://[127.0.0.1"),
        ({}, "http://"),
        # A proxy passes the name on, or only the browser tells; and as GitHub's Codespaces do it.
        ({"host": "photos.example", "x_forwarded_proto": "https"}, PUBLIC),
        ({"host": LOCAL, "x_forwarded_host": "photos.example"}, "http://photos.example"),
        ({"host": LOCAL, "origin": PUBLIC}, PUBLIC),
        (
            {
                "host": "localhost:7860",
                "x_forwarded_host": "name-7860.app.github.dev",
                "x_forwarded_proto": "https, http",
            },
            "https://name-7860.app.github.dev",
        ),
        ({"host": "localhost:8443", "origin": "https://localhost:8443"}, "https://localhost:8443"),
    ],
)
def test_others_are_told(headers, other):
    assert foreign(**headers) == other


@pytest.mark.parametrize(
    "headers",
    [
        {"host": LOCAL},
        {"host": "photos.example"},
        {"host": "PHOTOS.example:443", "x_forwarded_proto": "https"},
        {"host": "upstream", "x_forwarded_host": "inner.example, photos.example"},
        {},
    ],
)
def test_after_the_option_a_proxy_may_write_what_it_likes(headers):
    assert foreign(PUBLIC, **headers) is None
    assert foreign(PUBLIC, **headers, origin=PUBLIC) is None
    assert foreign(f"{PUBLIC}/colour", **headers, origin=f"{PUBLIC}:443") is None
    for other in ("http://evil.example", "http://photos.example", f"{PUBLIC}:8", "null"):
        assert foreign(PUBLIC, **headers, origin=other) == other


def test_the_option_does_not_let_other_names_in():
    evil = "http://evil.example:7860"
    assert foreign(PUBLIC, host="evil.example:7860", origin=evil) == evil
    assert foreign(PUBLIC, host=LOCAL, origin=f"http://{LOCAL}") is None


@pytest.mark.parametrize("public_url", [None, PUBLIC])
def test_a_page_under_any_name_is_not_for_other_sites_either(public_url):
    """A password does not help there: the visitor's browser has it."""
    for host in (LOCAL, "photos.example", "192.168.1.5:7860"):
        assert foreign(public_url, True, host=host) is None
        for scheme in ("http", "https"):
            assert foreign(public_url, True, host=host, origin=f"{scheme}://{host}") is None
        assert foreign(public_url, True, host=host, origin=f"https://{host.split(':')[0]}") is None
        for other in ("http://evil.example", "null", "https://photos.example.evil"):
            assert foreign(public_url, True, host=host, origin=other) == other
    proxied = {"host": "upstream", "x_forwarded_host": "photos.example", "origin": PUBLIC}
    assert foreign(public_url, True, **proxied) is None
    unnamed = {"host": "upstream", "origin": PUBLIC}
    assert foreign(public_url, True, **unnamed) == (None if public_url else PUBLIC)
