"""Passwords and tokens as they are kept: never themselves, only what they are checked against."""

import base64
import binascii
import hashlib
import hmac
import secrets

_COST, _BLOCK, _PARALLEL = 2**15, 8, 1
"""scrypt: 32 MiB and a tenth of a second."""

_MIN_COST, _MAX_COST = 2**14, 2**18
_MAX_BLOCK, _MAX_PARALLEL = 16, 4
_SALT_BYTES = 16
_HASH_BYTES = 32
_TOKEN_BYTES = 32
_TOKEN_PREFIX = "seed_"
MIN_CHARACTERS = 8
"""Shortest password."""

MAX_CHARACTERS = 1024
"""Longer passwords and tokens are refused unread."""


def hash_password(password: str) -> str:
    """Return what the users file keeps of a password: ``scrypt:N:r:p:SALT:HASH``."""
    salt = secrets.token_bytes(_SALT_BYTES)
    digest = _scrypt(password, salt, _COST, _BLOCK, _PARALLEL)
    return f"scrypt:{_COST}:{_BLOCK}:{_PARALLEL}:{_encoded(salt)}:{_encoded(digest)}"


def check_hash(kept: str) -> None:
    """See that a text is what `hash_password` returns.

    Raises:
        ValueError: It is not.
    """
    _parts(kept)


def password_fits(password: str, kept: str) -> bool:
    """Return whether a password is the one that was hashed; takes a tenth of a second."""
    cost, block, parallel, salt, digest = _parts(kept)
    return hmac.compare_digest(_scrypt(password, salt, cost, block, parallel), digest)


NOBODYS = f"scrypt:{_COST}:{_BLOCK}:{_PARALLEL}:{'A' * 22}==:{'A' * 43}="
"""No password's: checked for an unknown name, so that it takes as long as a known one."""


def new_token() -> str:
    """Return a new bearer token: 256 random bits."""
    return _TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)


def hash_token(token: str) -> str:
    """Return what the tokens file keeps of a token: ``sha256:HEX``.

    A token is random, so nobody can guess it from its hash, as a password could be.
    """
    return f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"


def check_token_hash(kept: str) -> None:
    """See that a text is what `hash_token` returns.

    Raises:
        ValueError: It is not.
    """
    kind, _, digits = kept.partition(":")
    if kind != "sha256" or len(digits) != 64 or set(digits) - set("0123456789abcdef"):
        raise ValueError("expected sha256: and 64 hexadecimal digits, from --new-token")


def _scrypt(password: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    memory = 128 * block * (cost + parallel + 2)
    return hashlib.scrypt(
        password.encode(), salt=salt, n=cost, r=block, p=parallel, maxmem=memory, dklen=_HASH_BYTES
    )


def _parts(kept: str) -> tuple[int, int, int, bytes, bytes]:
    try:
        kind, *numbers, salt, digest = kept.split(":")
        cost, block, parallel = (int(each) for each in numbers)
        salt_bytes, digest_bytes = (base64.b64decode(x, validate=True) for x in (salt, digest))
    except (ValueError, binascii.Error):
        kind = ""
    if kind != "scrypt" or len(digest_bytes) != _HASH_BYTES or len(salt_bytes) < _SALT_BYTES:
        raise ValueError("expected scrypt:N:r:p:SALT:HASH, as --hash-password prints it")
    if not _MIN_COST <= cost <= _MAX_COST or cost & (cost - 1):
        raise ValueError(f"scrypt's N is {cost}, expected a power of two, 2^14 to 2^18")
    if not (1 <= block <= _MAX_BLOCK and 1 <= parallel <= _MAX_PARALLEL):
        raise ValueError("scrypt's r and p are expected in 1..16 and 1..4")
    return cost, block, parallel, salt_bytes, digest_bytes


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
