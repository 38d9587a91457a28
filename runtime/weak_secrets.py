"""Why a key or a password can be guessed, in words that complete "this one …"."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from difflib import SequenceMatcher
from itertools import pairwise

DEVELOPMENT_KEY = "development-only-key-never-in-production"

#: Words from examples, documents and habit. All are too long to occur in random characters by chance.
_WORDS = (
    "abcdef", "celery", "change", "default", "development", "django", "dummy", "example", "fillme", "flower",
    "holdline", "insecure", "insert", "letmein", "password", "passw0rd", "placeholder", "please",
    "production", "qwerty", "qwertz", "replace", "sample", "secret", "testing", "testkey", "welcome",
    "whatever", "yourkey", "123456", "654321", "1q2w3e", "1qaz2wsx", "zaq12wsx", "admin", "314159",
    "123e4567", "e89b12d3a456", "batterystaple", "correcthorse", "thequick", "brownfox", "lazydog",
    "baseball", "football", "iloveyou", "monkey", "dragon", "princess", "shadow", "sunshine", "trustno1",
    "characters", "openssl", "random", "passphrase", "undefined",
    "january", "february", "october", "november", "december", "autumn", "spring", "summer", "winter",
)  # fmt: skip

#: The signs that people write in place of letters.
_LEET = str.maketrans("@4310$5!7", "aaeiossit")

#: Digests of these words and a few shorter texts, as public tables of digests have them.
_DIGESTS = frozenset(
    hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()
    for name in ("md5", "sha1", "sha256", "sha512")
    for text in ("", "test", "hello", "holdline", "root", "1", "123", "1234", "12345678", *_WORDS)
)

_HOW = "`openssl rand -hex 32` prints a good one"


def of_a_key(key: str) -> str | None:
    """Why this key can be guessed, or None. It needs 32 or more random characters."""
    if _resembles(key, DEVELOPMENT_KEY) or _resembles(key[::-1], DEVELOPMENT_KEY):
        return f"is the public one of development, or nearly; {_HOW}"
    if key.lower() in _DIGESTS:
        return f"is the digest of a word; {_HOW}"
    for inside in _decoded(key):
        if _resembles(inside, DEVELOPMENT_KEY) or _of_a_secret(inside, length=16, kinds=8, dense=16):
            return f"is something that can be guessed, in another coding; {_HOW}"
    return _of_a_secret(key, length=32, kinds=8, dense=24)


def of_a_password(password: str, user: str = "") -> str | None:
    """Why this password can be guessed, or None. It needs 12 or more characters beside the user's name."""
    name = _plain(user)
    if name and name in _plain(password) and len(_plain(password).replace(name, "")) < 12:
        return f"is made of the user's name; {_HOW}"
    return _of_a_secret(password, length=12, kinds=6, dense=10)


def _of_a_secret(text: str, *, length: int, kinds: int, dense: int) -> str | None:
    """Why `text` can be guessed, or None. It must have `length` characters, `kinds` different ones, and still
    `dense` bytes when it is compressed.
    """
    if len(text) < length:
        return f"has fewer than {length} characters; {_HOW}"
    if len(set(text)) < kinds or _packed(text) < dense or _counts(text):
        return f"repeats itself or counts; {_HOW}"
    for rest in (_plain(text), _plain(text.lower().translate(_LEET))):
        left = rest
        found = [word for word in _WORDS if word in rest]
        for word in found:
            left = left.replace(word, "")
        if found and len(left) < length:
            return f"has hardly more in it than “{found[0]}”, which is in every list of guesses; {_HOW}"
    return None


def _decoded(key: str) -> Iterator[str]:
    """What the key decodes to as hexadecimal and as base64, with one character for each byte."""
    for decode in (bytes.fromhex, _of_base64):
        with suppress(ValueError):
            yield decode(key.strip()).decode("latin-1")


def _of_base64(key: str) -> bytes:
    body = key.rstrip("=").translate(str.maketrans("-_", "+/"))
    return base64.b64decode(body + "=" * (-len(body) % 4), validate=True)


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _resembles(text: str, known: str) -> bool:
    return SequenceMatcher(None, _plain(text), _plain(known), autojunk=False).ratio() > 0.6


def _packed(text: str) -> int:
    compressor = zlib.compressobj(9, wbits=-15)
    return len(compressor.compress(text.encode()) + compressor.flush())


def _counts(text: str) -> bool:
    """Whether most characters are the one before or its neighbour; also at every second place (a1b2c3)."""
    if len(text) > 10 and _counts(text[::2]) and _counts(text[1::2]):
        return True
    steps = [abs(ord(after) - ord(before)) for before, after in pairwise(text)]
    return sum(step <= 1 for step in steps) > len(steps) * 2 / 3
