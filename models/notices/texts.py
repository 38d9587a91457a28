"""The words of every SMS. Templates with bounded fields; nothing a caller said stands in them freely."""

from __future__ import annotations

import base64
import re
import unicodedata
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

import settings
from models.base import phones, times
from models.base.erased import is_erased
from models.booking import appointments, codes, holds, links
from models.booking.appointments import AppointmentStatus
from models.calls import calls
from models.clinics import calendars, organizations
from models.clinics.organizations import Organization
from models.leads import leads
from models.messaging import messages
from models.messaging.messages import SmsMessage
from models.messaging.states import SmsKind

#: What fits into two SMS: each gives some of its room to saying which part it is.
TWO_SMS = 2 * 153

#: GSM 03.38, the basic set: what fits 160 characters into one SMS.
_GSM = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_LOOK_ALIKES = str.maketrans(
    {
        "\N{LEFT SINGLE QUOTATION MARK}": "'",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{LEFT DOUBLE QUOTATION MARK}": '"',
        "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
        "\N{EN DASH}": "-",
        "\N{EM DASH}": "-",
        "\N{HORIZONTAL ELLIPSIS}": "...",
    }
)


def gsm(text: str, *, limit: int) -> str:
    """The text in GSM characters only: one other character would halve what fits into an SMS."""
    plain = []
    for character in text.translate(_LOOK_ALIKES):
        if character in _GSM and character not in "\r\n":
            plain.append(character)
        else:
            folded = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
            plain.append("".join(part for part in folded if part in _GSM) or " ")
    return " ".join("".join(plain).split())[:limit].strip()


def code(clinic: str, digits: str) -> str:
    """The code stands alone: no other group of digits that could be taken for it."""
    name = re.sub(r"\d{3,}", "", gsm(clinic, limit=40)).strip()
    return (
        f"{digits} is your {name or 'booking'} code."
        " Read it to the assistant on the phone. Not calling us? Ignore this text."
    )


def confirmation(
    *,
    clinic: str,
    clinic_phone: str | None,
    starts_at: datetime,
    zone: ZoneInfo,
    appointment_id: uuid.UUID,
    link: str | None = None,
) -> str:
    """One SMS, or two with a link; a link that does not fit, or cannot be written, is left out."""
    booked = f"Confirmed: {times.written(starts_at, zone)}, {_place(clinic)}."
    return _to_be_changed(booked, clinic_phone, appointment_id, link)


def move(
    *,
    clinic: str,
    clinic_phone: str | None,
    moved_from: datetime,
    starts_at: datetime,
    zone: ZoneInfo,
    appointment_id: uuid.UUID,
    link: str | None = None,
) -> str:
    """As a confirmation, of the time that the appointment was moved to; at most two SMS."""
    change = f"from {times.written(moved_from, zone)} to {times.written(starts_at, zone)}"
    return _to_be_changed(f"Moved {change}, {_place(clinic)}.", clinic_phone, appointment_id, link)


def _to_be_changed(stands: str, clinic_phone: str | None, appointment_id: uuid.UUID, link: str | None) -> str:
    """What an appointment is, and how to change it."""
    call = f"call {gsm(phones.readable(clinic_phone), limit=40)}" if clinic_phone else ""
    ref = f"Ref {reference(appointment_id)}"
    if link:
        # Nothing stands right behind the link: telephones would take a full stop for a part of it.
        text = f"{stands} {ref}. To change or cancel: {link}{' or ' if call else ''}{call}"
        if set(text) <= _GSM and len(text) <= TWO_SMS:
            return text
    change = f" To change it, {call}." if call else ""
    return f"{stands}{change} {ref}"


def cancellation(
    *, clinic: str, clinic_phone: str | None, starts_at: datetime, zone: ZoneInfo, appointment_id: uuid.UUID
) -> str:
    """One SMS; without a link, for there is nothing left to change."""
    again = f" To book again call {gsm(phones.readable(clinic_phone), limit=40)}" if clinic_phone else ""
    time = times.written(starts_at, zone)
    return f"Cancelled: {time}, {_place(clinic)}. Ref {reference(appointment_id)}.{again}"


def _place(clinic: str) -> str:
    return gsm(clinic, limit=40) or "at the clinic"


def render(session: Session, message: SmsMessage) -> str | None:
    """The words of a message, made from the rows it is about; None if those are gone."""
    clinic = organizations.get_or_none(session, message.org_id)
    if clinic is None:
        return None
    if message.kind is SmsKind.OTP and message.hold_id:
        hold = holds.get_or_none(session, message.org_id, message.hold_id)
        if hold:
            try:
                digits = codes.derive(
                    hold.id,
                    hold.patient_phone,
                    length=hold.code_length or clinic.code_length,
                    key_id=hold.code_key,
                )
            except settings.UnknownKey:
                return None  # its SECRET_KEY is gone: another code can be asked for
            return code(clinic.name, digits)
    if message.appointment_id:
        return _about_appointment(session, message, message.appointment_id, clinic)
    if message.kind is SmsKind.HOT_LEAD_ALERT:
        return _alert(session, message)
    return None


class _Facts(TypedDict):
    """What every SMS about an appointment says."""

    clinic: str
    clinic_phone: str | None
    starts_at: datetime
    zone: ZoneInfo
    appointment_id: uuid.UUID


def _about_appointment(
    session: Session, message: SmsMessage, appointment_id: uuid.UUID, clinic: Organization
) -> str | None:
    """What an appointment has become, if this message is still the one to say it."""
    appointment = appointments.get_or_none(session, message.org_id, appointment_id)
    if appointment is None or not _stands(appointment, message):
        return None
    calendar = calendars.get_or_none(session, message.org_id, appointment.calendar_id)
    if calendar is None:
        return None
    facts = _Facts(
        clinic=clinic.name,
        clinic_phone=clinic.phone,
        starts_at=appointment.scheduled_at,
        zone=calendar.zone,
        appointment_id=appointment.id,
    )
    if message.kind is SmsKind.CANCELLATION:
        return cancellation(**facts)
    link = links.address(session, message.org_id, message.id)
    moved_from = messages.time_told_before(session, message)
    if moved_from and moved_from != appointment.scheduled_at:
        return move(**facts, moved_from=moved_from, link=link)
    return confirmation(**facts, link=link)


def _alert(session: Session, message: SmsMessage) -> str | None:
    """One lead with what is known of it; of several how many there are, and where they are shown."""
    alerts = [
        alert
        for alert in leads.alerts_of_message(session, message.org_id, message.id)
        if not is_erased(alert.lead_phone)
    ]
    if len(alerts) > 1:
        return hot_leads(
            count=len(alerts),
            since=alerts[0].created_at,
            zone=calendars.zone(session, message.org_id),
            best=max(alert.lead_score for alert in alerts),
            page=f"{settings.get().public_base_url.rstrip('/')}/dashboard/live",
        )
    alert = next(iter(alerts), None)
    call = session.get(calls.Call, (alert.org_id, alert.call_id)) if alert else None
    if alert is None or call is None:
        return None
    return hot_lead(
        name=alert.lead_name,
        number=alert.lead_phone,
        service=call.lead_service,
        score=alert.lead_score,
        # What every call has says nothing of this one; several sentences may have one reason.
        reasons=list(
            dict.fromkeys(
                str(reason["why"]).rstrip(".")
                for reason in call.lead_reasons or ()
                if int(reason["points"]) > 0 and reason["code"] != "base"
            )
        ),
        seconds=call.duration,
    )


def hot_lead(
    *,
    name: str | None,
    number: str | None,
    service: str | None,
    score: int,
    reasons: Sequence[str],
    seconds: int | None,
) -> str:
    """For a lock screen: how hot, who, for what, and the few reasons that weigh most; at most two SMS."""
    who = _only_a_name(name or "") or "Somebody"
    at = ", number withheld"
    if number and re.fullmatch(r"\+?\d{3,15}", number):
        at = f", {number}" if phones.may_be_rung(number) else ", number not shown"
    wants = f", for {_no_link(gsm(service, limit=40))}" if service else ""
    lasted = f" {seconds // 60} min call." if seconds else ""
    text = f"Hot lead {score}/100: {who}{at}{wants}.{lasted}"
    for reason in reasons[:4]:
        more = f"{text} {_no_link(gsm(reason, limit=70))}."
        if len(more) > TWO_SMS:
            break
        text = more
    return text


def hot_leads(*, count: int, since: datetime, zone: ZoneInfo, best: int, page: str) -> str:
    """Several that one text tells of, after many that had one each; `page` is the address of the live page.
    At most two SMS.
    """
    clock = times.written(since, zone).partition(" at ")[2]
    text = f"{count} more hot leads since {clock}, the best {best}/100."
    see = f"{text} See {page}"
    return see if set(see) <= _GSM and len(see) <= TWO_SMS else text


def _only_a_name(said: str) -> str:
    """Letters and what stands in names: a caller who is called "http://…" puts no link on a lock screen."""
    # Again after folding: what is one letter of another script may fold to several signs.
    for _ in range(2):
        said = "".join(c if c.isalpha() or c in " -'’" else " " for c in said)  # noqa: RUF001 (as keyboards write it)
        said = gsm(said, limit=30)
    return said


def _no_link(said: str) -> str:
    """Without what telephones make a link of: a dot, slash, colon or @ within a word; a long number, however
    it is written.
    """
    apart = re.sub(r"(?<=\S)[./:@\\_]+(?=\S)|//+|@", " ", said)
    return " ".join(re.sub(r"\d{5,}|\d(?:[^A-Za-z0-9]{0,3}\d){5,}", " ", apart).split()).rstrip(".")


def _stands(appointment: appointments.Appointment, message: SmsMessage) -> bool:
    """Whether the appointment is still what this message says: cancelled, or confirmed by this one.

    keep_back_superseded_sms judges likewise (migrations/sql/newer_confirmation_v2.sql).
    """
    cancelled = appointment.status is AppointmentStatus.CANCELLED
    if message.kind is SmsKind.CANCELLATION:
        return cancelled
    return not cancelled and appointment.confirmation_message_id == message.id


def as_shown(session: Session, message: SmsMessage) -> str | None:
    """The words as they may be kept, shown and told: never a code, and of a link not what makes it work."""
    if message.kind is SmsKind.OTP:
        return None
    text = message.body or render(session, message)
    return text and links.hidden(text)


def as_sent(session: Session, message: SmsMessage) -> str | None:
    """The words as the provider was given them, to find the message there by; None if they are gone."""
    if message.body is None:
        return render(session, message)
    link = links.get_or_none(session, message.org_id, message.id)
    if link is None or not links.has_hidden(message.body):
        return message.body
    token = links.token_of(link)
    return links.revealed(message.body, token) if token else None  # its SECRET_KEY is gone


def reference(appointment_id: uuid.UUID) -> str:
    """Six letters and digits to name a booking by; they also tell one confirmation from another."""
    return base64.b32encode(appointment_id.bytes[:4]).decode()[:6]
