"""Where no camera may lead us unless allowed: link-local addresses, where clouds keep credentials.

A name is looked up, and every address that it has is checked, before a camera is opened; our own
HTTP client checks each connection and redirect again, by the address that it has reached. FFmpeg
looks names up itself, and follows redirects and playlists: that a name changes in between, or a
playlist names such an address, only the network can prevent (see the NetworkPolicy of producers).
"""

import contextlib
import ipaddress
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from producer.camera_pictures import SourceError

_METADATA = frozenset(
    map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "192.0.0.192"))
)
"""Metadata services outside the link-local ranges: EC2 by IPv6, Alibaba, Oracle."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_forbidden(address: str) -> bool:
    """Return whether an IP address is link-local or a known metadata service."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return any(each.is_link_local or each in _METADATA for each in _forms(found))


def _forms(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Yield an address, and the IPv4 address that an IPv6 one stands for."""
    yield address
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            yield inner
        if address in _NAT64:
            yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def check_url(url: str) -> None:
    """Look the host of a URL up, and see that none of its addresses is forbidden.

    Raises:
        SourceError: One is.
    """
    with contextlib.suppress(ValueError):
        check_host(urlsplit(url).hostname or "")


def check_host(host: str) -> None:
    """Look a host up, and see that none of its addresses is forbidden; see ``check_url``."""
    if not host:
        return
    try:
        # The same as FFmpeg asks; knows also "0xa9fea9fe" and other ways to write an address.
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return  # whoever opens it says what is wrong with it
    for *_, place in found:
        _check(str(place[0]))


def connect(address: tuple[str, int], *arguments: Any, **named: Any) -> socket.socket:
    """As ``socket.create_connection``, but never talks to a forbidden address.

    Raises:
        SourceError: It was one that answered.
        OSError: Nothing answers.
    """
    check_host(address[0])
    connection = socket.create_connection(address, *arguments, **named)
    try:
        # The name may have another address by now.
        _check(str(connection.getpeername()[0]))
    except BaseException:
        connection.close()
        raise
    return connection


def _check(address: str) -> None:
    if is_forbidden(address):
        raise SourceError(
            f"cannot open: it leads to {address}, a link-local address as clouds use for "
            "credentials; if the camera is there, set PRODUCER_ALLOW_LINK_LOCAL_CAMERAS=true"
        )
