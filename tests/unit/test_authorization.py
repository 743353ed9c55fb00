"""Answers to the challenges of HTTP servers, as the RFCs have them."""

import pytest

from producer.authorization import Authorization

NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
OPAQUE = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
CLIENT_NONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
MD5 = "8ca523f5e9506fed4657c9700eebdbec"
SHA256 = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"


def digest(algorithm: str) -> str:
    return (
        f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, '
        f'nonce="{NONCE}", opaque="{OPAQUE}"'
    )


def mufasa() -> Authorization:
    return Authorization("Mufasa", "Circle of Life", lambda: CLIENT_NONCE)


@pytest.mark.parametrize(
    ("challenges", "response"),
    [
        ([digest("MD5")], MD5),
        ([digest("SHA-256")], SHA256),
        ([digest("MD5"), digest("SHA-256")], SHA256),
        ([digest("SHA-256"), 'Basic realm="x"'], SHA256),
        ([digest("SHA-1024"), digest("MD5")], MD5),
    ],
)
def test_the_digests_of_rfc_7616_section_3_9_1(challenges: list[str], response: str) -> None:
    who = mufasa()
    assert who.challenge(challenges)
    header = who.header("GET", "/dir/index.html")
    assert header is not None
    assert header.startswith("Digest ")
    for part in (f'response="{response}"', 'uri="/dir/index.html"', "qop=auth", "nc=00000001"):
        assert part in header
    assert f'opaque="{OPAQUE}"' in header
    again = who.header("GET", "/dir/index.html")
    assert again is not None
    assert "nc=00000002" in again, "a nonce serves for several requests, which are numbered"


def test_the_digest_of_rfc_2069_without_quality() -> None:
    # The example of its section 2.4, as corrected by errata 749.
    who = Authorization("Mufasa", "CircleOfLife")
    assert who.challenge(
        ['Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"']
    )
    header = who.header("GET", "/dir/index.html")
    assert header is not None
    assert 'response="1949323746fe6a43ef61f9606e7febea"' in header
    assert "nc=" not in header


def test_basic_is_the_base64_of_user_and_password() -> None:
    who = Authorization("Aladdin", "open sesame")
    assert who.header("GET", "/") is None, "nothing is told before it is asked for"
    assert who.challenge(['Basic realm="foo"'])
    assert who.header("GET", "/") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="


@pytest.mark.parametrize("challenge", ["Negotiate", digest("SHA-1024"), "Digest realm=x", ""])
def test_a_challenge_that_cannot_be_met_is_not_answered(challenge: str) -> None:
    who = mufasa()
    assert not who.challenge([challenge])
    assert who.header("GET", "/") is None
