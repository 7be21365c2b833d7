"""What a list of allowed hosts admits, which addresses are public, and what of a request a proxy understands."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow_core.config import config_schema, load_config
from agentflow_core.errors import ConfigError
from agentflow_core.sandbox.launchers import Network
from agentflow_core.sandbox.launchers.proxy.addresses import is_of_this_machine, special
from agentflow_core.sandbox.launchers.proxy.hosts import read_host
from agentflow_core.sandbox.launchers.proxy.patterns import AllowList, Pattern
from agentflow_core.sandbox.launchers.proxy.refusals import Refusal
from agentflow_core.sandbox.launchers.proxy.requests import Forward, Tunnel, read_request


def admits(pattern, host, port=443):
    return AllowList.read([pattern]).admits(read_host(host), port)


@pytest.mark.parametrize(
    ("pattern", "admitted", "refused"),
    [
        ("pypi.org", ["pypi.org", "PyPI.org.", "pypi.org"], ["xpypi.org", "a.pypi.org", "pypi.org.evil.test", "org"]),
        (
            "*.pythonhosted.org",
            ["files.pythonhosted.org", "a.b.pythonhosted.org"],
            ["pythonhosted.org", "xpythonhosted.org"],
        ),
        ("bücher.example", ["xn--bcher-kva.example"], ["bucher.example"]),
        ("*", ["anything.test", "192.0.2.1", "[2001:db8::1]"], []),
        ("10.0.0.0/8", ["10.1.2.3"], ["11.1.2.3", "ten.test", "[::a01:203]"]),
        ("[2001:db8::]", ["[2001:db8:0::]"], ["[2001:db8::1]"]),
        ("192.0.2.7", ["192.0.2.7"], ["192.0.2.8"]),
    ],
)
def test_a_pattern_admits_what_it_says(pattern, admitted, refused):
    assert [host for host in admitted if not admits(pattern, host)] == []
    assert [host for host in refused if admits(pattern, host)] == []


def test_ports_are_those_of_the_web_unless_one_is_named():
    assert [port for port in (22, 80, 443, 8443) if admits("a.test", "a.test", port)] == [80, 443]
    assert [port for port in (22, 80, 443, 8443) if admits("a.test:8443", "a.test", port)] == [8443]
    assert [port for port in (22, 80, 443, 8443) if admits("*.test:*", "a.test", port)] == [22, 80, 443, 8443]
    assert admits("10.0.0.0/8:5432", "10.0.0.1", 5432)
    assert admits("[2001:db8::1]:8080", "[2001:db8::1]", 8080)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("", "empty"),
        ("pypi.org ", "blanks"),
        ("https://pypi.org/simple", "without scheme"),
        ("user@pypi.org", "without scheme, user"),
        ("pypi.org/simple", "neither an address nor a network"),
        ("pypi.org:https", "not a port"),
        ("pypi.org:", "not a port"),
        ("pypi.org:65536", "not a port"),
        ("*pypi.org", "stands for everything before a domain"),
        ("a.*.org", "stands for everything before a domain"),
        ("*.", "not the name of a host"),
        ("*.10.0.0.1", "not the name of a host"),
        ("10.0.0.1/8", "host bits"),
        ("10.0.0.256", "neither an address"),
        ("127.1", "neither an address"),
        ("0x7f000001", "neither an address"),
        ("::1", "brackets"),
        ("[::1", "brackets|neither"),
        ("[::ffff:127.0.0.1]", "IPv4 address itself"),
        ("[fe80::1%lo]", "no interface"),
        ("-a.test", "not the name"),
        ("a..test", "not the name"),
        ("a\x00.test", "not the name"),
    ],
)
def test_a_pattern_that_means_nothing_is_refused_with_its_reason(pattern, said):
    with pytest.raises(ValueError, match=said):
        Pattern.read(pattern)


def test_hosts_stand_in_the_settings_of_a_backend_and_imply_the_mode():
    network = load_config(Network, {"allow_hosts": ["pypi.org", "*.pythonhosted.org"]}).config
    assert (network.mode, network.is_proxied) == ("allow_hosts", True)
    assert load_config(Network, {"mode": "allow_hosts", "allow_hosts": ["pypi.org"]}).config == Network(
        allow_hosts=("pypi.org",)
    )
    assert load_config(Network, load_config(Network, {}).resolved).config.mode == "off"
    assert not load_config(Network, {"mode": "off", "allow_hosts": ["pypi.org"]}).config.is_proxied
    assert "allow_hosts" in config_schema(Network)["properties"]


def test_every_wrong_host_of_a_configuration_is_told_with_its_place():
    with pytest.raises(ConfigError) as caught:
        load_config(Network, {"allow_hosts": ["pypi.org", "https://a.test", "b.test:0"]})
    assert [problem.path for problem in caught.value.problems] == ["allow_hosts.1", "allow_hosts.2"]
    with pytest.raises(ConfigError, match="leave one out"):
        Network(mode="host", allow_hosts=("pypi.org",))
    with pytest.raises(ConfigError, match="name the hosts"):
        load_config(Network, {"mode": "allow_hosts"})


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.255.0.1", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254"),
        *("100.64.0.1", "100.100.100.200", "0.0.0.0", "0.1.2.3", "192.0.0.192", "198.18.0.1", "203.0.113.9"),
        *("224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "168.63.129.16"),
        *("::1", "::", "::ffff:8.8.8.8", "::ffff:127.0.0.1", "::127.0.0.1", "fe80::1", "fe80::1%lo", "fc00::1"),
        *("fd00:ec2::254", "ff02::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b:1::1"),
        *("4000::1", "fec0::1"),
    ],
)
def test_addresses_that_lead_inside_are_not_public(address):
    assert special(ip_address(address)) is not None
    assert AllowList.read(["*:*", "0.0.0.0/0:*", "[::/0]:*"]).objection(ip_address(address), 80)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1", "64:ff9b::808:808"],
)
def test_public_addresses_are_public(address):
    assert special(ip_address(address)) is None
    assert not AllowList.read(["a.test"]).objection(ip_address(address), 80)


def test_an_address_that_is_not_public_is_reached_only_where_a_pattern_names_it():
    allowed = AllowList.read(["inside.test", "127.0.0.1:8080", "10.1.0.0/16", "[fd00::/8]:443"])
    objections = {
        text: allowed.objection(ip_address(address), int(port))
        for text in ("127.0.0.1 8080", "127.0.0.1 80", "127.0.0.2 8080", "10.1.2.3 443", "10.2.0.1 443", "fd00::1 443")
        for address, port in [text.split()]
    }
    assert objections == {
        "127.0.0.1 8080": "",
        "127.0.0.1 80": "loopback",
        "127.0.0.2 8080": "loopback",
        "10.1.2.3 443": "",
        "10.2.0.1 443": "private",
        "fd00::1 443": "",
    }


def test_an_address_of_this_machine_is_known_by_its_route():
    assert is_of_this_machine(ip_address("127.0.0.1"))
    assert not is_of_this_machine(ip_address("192.0.2.1"))


def test_a_request_for_a_whole_address_goes_on_without_what_is_the_proxys():
    asked = read_request(
        b"POST http://A.test:8080/x?y#z HTTP/1.1\r\nHost: other.test\r\nProxy-Authorization: Basic eA==\r\n"
        b"Connection: X-Secret, keep-alive\r\nX-Secret: 1\r\nUpgrade: h2c\r\nContent-Length: 3\r\nX: \xc3\xbc\r\n\r\n"
    )
    assert asked == Forward(
        host="a.test",
        port=8080,
        head=b"POST /x?y HTTP/1.1\r\nHost: A.test:8080\r\nContent-Length: 3\r\nX: \xc3\xbc\r\nConnection: close\r\n\r\n",
        body_bytes=3,
    )
    assert read_request(b"GET http://a.test?q HTTP/1.0\r\n\r\n").head.startswith(
        b"GET /?q HTTP/1.0\r\nHost: a.test\r\n"
    )
    assert read_request(b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\n\r\n") == Tunnel(
        host=ip_address("2001:db8::1"), port=443
    )


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET / HTTP/1.1",
        b"GET http://a.test/ HTTP/2",
        b"GET  http://a.test/ HTTP/1.1",
        b"GET https://a.test/ HTTP/1.1",
        b"GET ftp://a.test/ HTTP/1.1",
        b"GET http://user:pw@a.test/ HTTP/1.1",
        b"GET http://a.test@b.test/ HTTP/1.1",
        b"GET http://a.test\\@b.test/ HTTP/1.1",
        b"GET http://a%2etest/ HTTP/1.1",
        b"GET http://127.1/ HTTP/1.1",
        b"GET http://2130706433/ HTTP/1.1",
        b"GET http://0x7f.0.0.1/ HTTP/1.1",
        b"GET http://[fe80::1%25lo]/ HTTP/1.1",
        b"GET http://[::1/ HTTP/1.1",
        b"GET http:///x HTTP/1.1",
        b"GET http://a.test:/ HTTP/1.1",
        b"GET http://a.test/\x00 HTTP/1.1",
        b"CONNECT a.test HTTP/1.1",
        b"CONNECT a.test:0 HTTP/1.1",
        b"CONNECT http://a.test:443 HTTP/1.1",
        b"CONNECT \xff.test:443 HTTP/1.1",
        b"GET http://a.test/ HTTP/1.1\r\n folded: 1",
        b"GET http://a.test/ HTTP/1.1\r\nA : 1",
        b"GET http://a.test/ HTTP/1.1\r\nA: 1\nB: 2",
        b"POST http://a.test/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2",
        b"POST http://a.test/ HTTP/1.1\r\nContent-Length: +1",
        b"POST http://a.test/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
        b"POST http://a.test/ HTTP/1.1\r\nTransfer-Encoding: gzip, chunked",
        b"POST http://a.test/ HTTP/1.1\r\nConnection: content-length\r\nContent-Length: 1",
    ],
)
def test_a_request_that_two_readers_could_understand_differently_is_refused(head):
    with pytest.raises(Refusal) as caught:
        read_request(head + b"\r\n\r\n")
    assert caught.value.status == 400
    assert caught.value.answer().startswith(b"HTTP/1.1 400 invalid_argument: ")


_PARTS = st.sampled_from(
    [
        *(b"GET", b"CONNECT", b" ", b"http://", b"a.test", b":80", b"[::1]", b"/", b"?", b"#", b"@", b"%", b"HTTP/1.1"),
        *(b"\r\n", b"Content-Length: 1", b"Transfer-Encoding: chunked", b"Connection: x", b"\x00", b"\xff", b"\n"),
        *(b"9" * 30, b"127.1"),
    ]
)


def judged(read, *arguments):
    """What was read, or the refusal."""
    try:
        return read(*arguments)
    except (Refusal, ValueError) as error:
        return error


@settings(deadline=None)
@given(st.one_of(st.binary(), st.lists(_PARTS).map(b"".join)))
def test_whatever_is_sent_is_understood_or_refused(head):
    asked = judged(read_request, head + b"\r\n\r\n")
    if isinstance(asked, Refusal):
        assert asked.answer().count(b"\r\n\r\n") == 1
    else:
        assert 0 < asked.port < 65536


@settings(deadline=None)
@given(st.text())
def test_whatever_is_written_is_a_pattern_or_refused(text):
    pattern = judged(Pattern.read, text)
    assert str(pattern) if isinstance(pattern, ValueError) else pattern.text == text
