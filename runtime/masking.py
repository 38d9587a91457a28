"""Takes telephone numbers, codes, secrets and tokens out of a text before it may stand in a log.

Pure: text in, text out. All rules apply in one pass, so that no rule can spoil what another rule keeps (a
time, an id, a port).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote

GONE = "***"


def mask(text: str) -> str:
    """The text without telephone numbers, codes, secrets and tokens.

    A run of 4 to 8 digits that stands alone could be a code, so it goes, unless the text beside it says what
    else it is: a port, a duration, a year, a line, an error's number. Ids and times stay whole.
    """
    return _PARTS.sub(lambda found: _HOW[found.lastgroup or ""](found[0]), text)


def _kept(part: str) -> str:
    return part


def _gone(_: str) -> str:
    return GONE


def _ending(number: str) -> str:
    """A telephone number's last two digits."""
    return GONE + re.sub(r"\D", "", number)[-2:]


def mask_digits(text: str) -> str:
    """The text of a field that is known to hold a telephone number or a code, masked."""
    return _FOUR_DIGITS.sub(_digits, text)


def _digits(found: re.Match[str]) -> str:
    return _ending(found[0]) if sum(map(str.isdigit, found[0])) > 8 else GONE


def _value_gone(part: str) -> str:
    """`name=value` or `name: value` without the value."""
    return _NAME.match(part)[0] + GONE  # type: ignore[index]  # every part of this kind begins with a name


def _digits_gone(part: str) -> str:
    """`code 1234` without the digits."""
    return _DIGITS_AT_END.sub(GONE, part)


def _local_part_gone(address: str) -> str:
    return GONE + address[address.index("@") :]


def _address(url: str) -> str:
    """A URL or a path without its login, without tokens in the path, and without the values of its query."""
    address, question, query = url.partition("?")
    scheme, slashes, rest = address.rpartition("://")
    host, *segments = rest.split("/")
    if "@" in host:
        host = GONE + host[host.rindex("@") :]
    path = _link_gone("/".join([host, *map(_segment, segments)]))
    values = "&".join(f"{pair.partition('=')[0]}={GONE}" for pair in query.split("&")) if question else ""
    return scheme + slashes + path + question + values


def _link_gone(path: str) -> str:
    return _LINK.sub(rf"/\1/{GONE}", path)


def _segment(segment: str) -> str:
    """One segment of a path, masked: an address with a token lets its reader in, so it is a secret, too."""
    plain = unquote(segment)
    if _PHONE_ALONE.fullmatch(plain):
        return _ending(plain)
    return GONE if _TOKEN.fullmatch(segment) and not _PUBLIC_ID.fullmatch(segment) else segment


_FOUR_DIGITS = re.compile(r"\+?\d(?:[ ().,-]*\d){3,}")
_DIGITS_AT_END = re.compile(r"\d(?:[ ,.-]{0,2}\d)*$")
_NAME = re.compile(r"""[\w-]+["']?\s*[:=]\s*["']?""")
_TOKEN = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w=-]{16,}")
_UUID = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_PUBLIC_ID = re.compile(rf"{_UUID}|[A-Z]{{2}}[0-9a-f]{{32}}")  # ours and Vapi's; Twilio's, such as SM…
#: The page of one appointment (models/booking/links.py), whose token is short, because an SMS is short; and a
#: published calendar (models/booking/published.py).
_LINK = re.compile(r"/(a|calendar)/[\w-]{8,}", re.IGNORECASE)
_PHONE_ALONE = re.compile(r"\+?\d{7,15}")

_MONTH = (
    "(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    "|sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_COUNTED = (
    "(?:ms|milliseconds?|s|secs?|seconds?|min|minutes?|hours?|days?|bytes|[kmg]i?b|rows?|holds?|messages?"
    "|sms|requests?|times|calls?|connections?|tasks?|keys?|characters?|lines?|%)"
)
_NUMBERED = (
    "(?:(?:error|status|exit|return|response)[ _-]?code|errno|error|status|sqlstate|http|port|pid|line|lineno"
    "|version|attempt|uid|gid|timeout|length|size|count|total|limit|signal|revision|elapsed|duration)"
)
_DATE = r"(?:19|20)\d\d(?P<sep>[-/.])(?:0\d|1[0-2])(?P=sep)[0-3]\d"
_SECRET_NAME = "(?:secret|token|passw|api[_-]?key|signature|cookie)"  # noqa: S105 (a pattern)
_LONG_OR_NUMBER = r"(?=[^\s\"',;]*\d|[^\s\"',;]{16})"
_CODE = r"\w*(?:otp|code|pin|passcode)"

#: Each kind of part, what happens to it, and its pattern. The leftmost match wins; of equals the first kind.
_KINDS: tuple[tuple[str, Callable[[str], str], str], ...] = (
    # Numbers that say nothing about a person.
    ("id", _kept, rf"\b{_UUID}\b|\b0x[0-9a-f]+\b"),
    (
        "time",
        _kept,
        rf"\b{_DATE}(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:\s?(?:Z|[+-]\d\d:?\d\d))?)?(?!\d)",
    ),
    ("year", _kept, rf"\b{_MONTH}\.?,? (?:\d{{1,2}},? )?(?:19|20)\d\d\b"),
    ("numbered", _kept, rf"\b{_NUMBERED}\s*[:=#]?\s*[\"']?\d{{1,6}}(?![\w-]|\.\d)"),
    ("worker", _kept, r"\b(?:celery|worker|otp|gen\d+)@[\w.-]+"),
    # Secrets.
    (
        "authorization",
        _value_gone,
        r"\bauthorization[\"']?\s*[:=]\s*[\"']?(?:(?:bearer|basic)\s+)?[^\s\"',;]+",
    ),
    ("bearer", _gone, r"\b(?:bearer|basic)\s+(?=\S*\d)[\w.~+/=-]{8,}"),
    ("url", _address, r"\b[a-z][a-z0-9+.-]{0,20}://[^\s\"'<>)\]}]*[^\s\"'<>)\]}.,;:!?]"),
    (
        "secret",
        _value_gone,
        rf"\b[\w-]{{0,40}}{_SECRET_NAME}[\w-]*[\"']?\s*(?:=\s*[\"']?|:\s*[\"']?{_LONG_OR_NUMBER})[^\s\"',;&]+",
    ),
    ("link", _link_gone, _LINK.pattern),
    ("jwt", _gone, r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"),
    ("path", _address, r"(?<![\w:/.<])/[^\s\"'<>)\]},;]*[^\s\"'<>)\]}.,;:!?]"),
    ("token", _gone, r"(?<![\w-])(?=[\w-]*\d)(?=[\w-]*(?-i:[a-z]))(?=[\w-]*(?-i:[A-Z]))[\w-]{40,}"),
    # Personal data.
    ("email", _local_part_gone, r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    (
        "code",
        _digits_gone,
        rf"\b{_CODE}[\"']?\s*(?:is|was|[:=#])?\s*[\"'(]?\d(?:[ ,.-]{{0,2}}\d){{3,7}}(?!\w|-\w)",
    ),
    # More numbers to keep: the text before or after them says what they count.
    ("server", _kept, rf"\b(?:to|at|on|from|host|server) (?!{_CODE}:)[\w.-]{{1,99}}:\d{{2,5}}\b(?!-)"),
    (
        "host",
        _kept,
        r"\b[a-z_][\w-]{0,60}(?:\.[\w-]{1,60}){1,6}:\d{1,5}\b|\blocalhost:\d{1,5}\b|\[[0-9a-f:]+\]:\d{1,5}\b",
    ),
    ("ip", _kept, r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d{1,5})?\b"),
    ("network", _kept, r"(?<![\w:])(?:[0-9a-f]{1,4}:){1,4}:/64\b"),  # as webapp/addresses.py writes it
    ("counted", _kept, rf"(?<![\w+-])(?!0\d)\d{{1,10}}\s?{_COUNTED}(?!\w)"),
    ("fraction", _kept, r"(?<![\w.+])(?:0|[1-9]\d*)\.\d+(?!\.?\d)"),
    # Telephone numbers: international, national, North American, and long runs of digits.
    ("international", _ending, r"(?:(?<![\w.])\+|%2B)[1-9](?:[ ().-]{0,2}\d){6,14}(?!\d)"),
    ("national", _ending, r"(?<![\w.+-])\(?0(?:[ ().-]{0,2}\d){8,13}(?![\w-])"),
    ("american", _ending, r"(?<![\w.+-])(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?![\w-])"),
    ("joined", _ending, r"(?<![\w.+-])\d{3,5}(?:-\d{3,6}){1,3}(?![\w-])"),
    ("long", _ending, r"(?<![\w.+-])\d{9,15}(?![\w-])"),
    # What could be a code, written in one or digit by digit as people say it.
    ("digits", _gone, r"(?<![\w/-])(?<!\d[.:])\d{4,8}(?![\w-]|[:/]\d)"),
    ("spoken", _gone, r"(?<![\w.:/+-])\d(?:[ ,-]{1,2}\d){3,7}(?![\w.:/-])"),
)
_PARTS = re.compile("|".join(f"(?P<{name}>{pattern})" for name, _, pattern in _KINDS), re.IGNORECASE)
_HOW = {name: how for name, how, _ in _KINDS}
