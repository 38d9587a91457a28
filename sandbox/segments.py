"""The number of SMS segments of a text, as Twilio bills it (GSM 03.38, and UTF-16 for other characters)."""

GSM_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_ESCAPED = frozenset("^{}[~]\\|€\f")  # sent as an escape and a letter: two places each


def count_segments(body: str) -> int:
    if set(body) <= GSM_BASIC | GSM_ESCAPED:
        widths = [2 if character in GSM_ESCAPED else 1 for character in body]
        alone, part = 160, 153
    else:  # one character outside GSM 03.38 turns the whole text into UTF-16
        widths = [2 if ord(character) > 0xFFFF else 1 for character in body]
        alone, part = 70, 67  # each part of a longer text loses 6 bytes to its header
    if sum(widths) <= alone:
        return 1
    segments, used = 1, 0
    for width in widths:
        if used + width > part:  # an escaped letter or a surrogate pair is never split
            segments, used = segments + 1, 0
        used += width
    return segments
