"""The second factor of the staff: a six-digit code of an app, or a recovery code if the app is lost."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import datetime

import pyotp
from sqlalchemy.orm import Session

from models.base import sealing
from models.clinics.staff import StaffUser

PURPOSE = "staff_totp"
ISSUER = "Holdline"

#: Seconds that one code lasts (RFC 6238), and how many codes before and after the current one are accepted,
#: because clocks differ.
STEP = 30
DRIFT = 1

RECOVERY_CODES = 10
#: Digits and letters that are not mistaken for each other; sixteen of them are 80 bits.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_LENGTH = 16
_AS_TYPED = str.maketrans("oil", "011")


def is_on(user: StaffUser) -> bool:
    return user.totp_since is not None


def start(user: StaffUser) -> None:
    """Make a new secret. Codes are asked for only after the first one has been confirmed."""
    user.totp_sealed = sealing.seal(user.org_id, PURPOSE, pyotp.random_base32())
    user.totp_since = user.totp_last_step = None
    user.recovery_digests = []


def secret_of(user: StaffUser) -> str | None:
    """The key to enter in the app; None if nothing was started. Raises CannotUnseal."""
    return sealing.unseal(user.org_id, PURPOSE, user.totp_sealed) if user.totp_sealed else None


def address_of(user: StaffUser, secret: str) -> str:
    """The text of the QR code: otpauth://totp/…"""
    return pyotp.TOTP(secret).provisioning_uri(name=user.email, issuer_name=ISSUER)


def confirm(user: StaffUser, typed: str, now: datetime) -> list[str] | None:
    """Turn it on with the first code of the app. Returns the recovery codes, of which only digests are kept;
    None if the code is wrong, nothing was started, or it is on already.
    """
    if is_on(user) or not _use_code(user, typed, now):
        return None
    codes = ["".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH)) for _ in range(RECOVERY_CODES)]
    user.totp_since = now
    user.recovery_digests = [_digest(user, code) for code in codes]
    return ["-".join(code[n : n + 4] for n in range(0, _LENGTH, 4)) for code in codes]


def check(session: Session, user: StaffUser, typed: str, now: datetime) -> bool:
    """Whether this is a code of the app or a recovery code. Each code works once."""
    session.refresh(user, with_for_update=True)  # of two requests at once with one code only one succeeds
    return is_on(user) and (_use_code(user, typed, now) or _use_recovery_code(user, typed))


def turn_off(user: StaffUser) -> None:
    user.totp_sealed = user.totp_since = user.totp_last_step = None
    user.recovery_digests = []


def _use_code(user: StaffUser, typed: str, now: datetime) -> bool:
    digits, secret = re.sub(r"\s", "", typed), secret_of(user)
    if secret is None or not re.fullmatch(r"[0-9]{6}", digits):
        return False
    app, current = pyotp.TOTP(secret, interval=STEP), int(now.timestamp()) // STEP
    right = [
        step
        for step in range(current - DRIFT, current + DRIFT + 1)
        if hmac.compare_digest(app.generate_otp(step), digits)
        and (user.totp_last_step is None or step > user.totp_last_step)
    ]
    if not right:
        return False
    user.totp_last_step = right[0]
    return True


def _use_recovery_code(user: StaffUser, typed: str) -> bool:
    code = re.sub(r"[\s-]", "", typed.lower()).translate(_AS_TYPED)
    given = _digest(user, code)
    left = [kept for kept in user.recovery_digests if not hmac.compare_digest(kept, given)]
    used = len(left) < len(user.recovery_digests)
    if used:
        user.recovery_digests = left
    return used


def _digest(user: StaffUser, code: str) -> str:
    return hashlib.sha256(f"{user.id} {code}".encode(errors="replace")).hexdigest()
