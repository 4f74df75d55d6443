"""The addresses that the page is served at: on this machine, to others, through a proxy."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from colorization.errors import UserError

# Gradio contacts only itself, to learn whether it has started; a proxy would interfere.
NO_PROXY = {"no_proxy": "*"}
_PORTS = {"http": 80, "https": 443}


class Address(NamedTuple):
    """Address at which a browser finds a page.

    Attributes:
      scheme: `http` or `https`.
      host: name or IP address in lower case; IPv6 addresses without brackets.
      port: the scheme's default if none is given.
      path: of the folder that holds the page, without a trailing slash.
    """

    scheme: str
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"


def parse_address(text: str) -> Address | None:
    """Parses an address as people and browsers write it; None if it is none."""
    try:
        url = urlsplit(text)
        host = (url.hostname or "").rstrip(".")
        if not host.isascii():
            host = host.encode("idna").decode()  # as browsers send it
        port = url.port or _PORTS[url.scheme]
    except (ValueError, KeyError):
        return None
    if not re.fullmatch(r"[\w.:%-]+", host) or url.query or url.fragment or "@" in url.netloc:
        return None
    return Address(url.scheme, host, port, url.path.rstrip("/"))


def parse_public_url(text: str) -> Address:
    """Parses the address that `--public_url` gives.

    Raises:
      UserError: it is no address of a page.
    """
    address = parse_address(text)
    if address is None or re.search(r"[\s\\]", text):
        raise UserError(
            f"--public_url {text}: name the address that people open, "
            "such as https://photos.example or https://example.org/colour"
        )
    return address


def is_local(host: str) -> bool:
    """Whether only this machine can reach a host, given by name or IP address."""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def foreign_address(
    headers: Mapping[bytes, str], public_url: Address | None, any_host: bool
) -> str | None:
    """The address of another site that a request seems to be meant for or sent by.

    A site may point its name to this machine (DNS rebinding), or make a visitor's browser send
    requests here. A proxy in front of the page looks the same unless `public_url` names it.

    Args:
      headers: of the request, with names in lower case.
      public_url: where a proxy shows the page, if one does.
      any_host: whether requests may be meant for any name, as on a page that is open to others or
        that a password protects, which no site gets by way of a name of its own.

    Returns:
      The other address, as far as it is known; None if there are no such signs.
    """
    scheme = headers.get(b"x-forwarded-proto", "").partition(",")[0].strip().lower() or "http"
    host = headers.get(b"host", "")
    requested_host = headers.get(b"x-forwarded-host", "").partition(",")[0].strip() or host
    origin = headers.get(b"origin")
    sender = parse_address(origin or "")
    own_addresses = [parse_address(f"{scheme}://{name}") for name in (requested_host, host)]
    local_addresses = [
        address for address in own_addresses if address is not None and is_local(address.host)
    ]
    if public_url is not None or any_host:
        # Proxies may rewrite the other headers, but browsers state the origin of what a site sends.
        # They do not for what it only asks for, such as pictures.
        allowed = [public_url._replace(path="") if public_url else None, *local_addresses]
        # Not all proxies pass on the scheme and the port, and browsers share cookies among ports.
        hosts = {address.host for address in own_addresses if address is not None and any_host}
        is_own = sender is not None and (sender in allowed or sender.host in hosts)
        return None if origin is None or is_own else origin
    if len(local_addresses) < len(own_addresses):
        return origin if sender is not None else f"{scheme}://{requested_host}"
    return None if origin is None or sender == own_addresses[0] else origin
