"""Where the service sends what users ask it to: addresses inside are refused, in every spelling."""

from __future__ import annotations

import ipaddress

import pytest

from jupyter_quantum.core.egress import Egress
from jupyter_quantum.exceptions import InputError, Refused

INSIDE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.254",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.8",
    "192.88.99.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.250",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2001::7f00:1",
    "2001:db8::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "4000::1",
]


@pytest.mark.parametrize("text", INSIDE)
def test_inside_is_not_sent_to(text: str) -> None:
    """Private, loopback, link-local, metadata, CGNAT, NAT64, 6to4, Teredo, mapped and multicast are refused."""
    with pytest.raises(Refused) as caught:
        Egress().check("hooks.example.org", [ipaddress.ip_address(text)])
    assert caught.value.code == "webhook.target"
    literal = f"[{text.partition('%')[0]}]" if ":" in text else text
    with pytest.raises(Refused):
        Egress().target(f"https://{literal}/")


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "185.199.108.133", "2606:4700:4700::1111", "2a00:1450:4001::1"])
def test_the_public_internet_is_sent_to(text: str) -> None:
    """Public addresses pass."""
    Egress().check("hooks.example.org", [ipaddress.ip_address(text)])


def test_one_address_inside_spoils_them_all() -> None:
    """A name that resolves to a public and a private address is refused."""
    both = [ipaddress.ip_address("8.8.8.8"), ipaddress.ip_address("10.0.0.1")]
    with pytest.raises(Refused):
        Egress().check("rebind.example.org", both)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.org/",
        "ftp://hooks.example.org/",
        "https://",
        "https:///path",
        "hooks.example.org",
        "https://user:pw@hooks.example.org/",
        "https://user@hooks.example.org/",
        "https://hooks.example.org/#here",
        "https://hooks.example.org:8443/",
        "https://hooks.example.org:22/",
        "https://hooks.example.org:99999/",
        "https://hooks.example.org:port/",
        "https://hooks.example.org/a b",
        "https://hooks.example.org\\@10.0.0.1/",
        "https://hooks.exämple.org/",
        "https://[::1/",
        "file:///etc/passwd",
        "https://" + "a" * 3000 + ".org/",
    ],
)
def test_an_address_must_be_plain_https(url: str) -> None:
    """No other scheme, port, user name, fragment or trick with backslashes."""
    with pytest.raises(InputError) as caught:
        Egress().target(url)
    assert caught.value.code == "webhook.url"


def test_the_operator_opens_targets_inside() -> None:
    """Hosts and networks that are listed are sent to, also in plain where that is allowed; others stay closed."""
    egress = Egress(["Hooks.Lab", "10.1.2.0/24", "127.0.0.1"], ports=(443, 8080), plain=True)
    assert egress.target("http://hooks.lab:8080/x").port == 8080
    assert egress.target("http://127.0.0.1:8080/").host == "127.0.0.1"
    assert egress.target("https://10.1.2.9/").secure
    egress.check("hooks.lab", [ipaddress.ip_address("192.168.0.5")])
    egress.check("any.example.org", [ipaddress.ip_address("10.1.2.9")])
    for url in ("http://hooks.example.org/", "http://127.0.0.2:8080/"):
        with pytest.raises((InputError, Refused)):
            egress.target(url)
    with pytest.raises(Refused):
        egress.check("any.example.org", [ipaddress.ip_address("10.1.3.9")])
    with pytest.raises(ValueError, match="does not appear"):
        Egress(["10.0.0.0/99"])
