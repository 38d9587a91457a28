"""A clinic, its limits, its connections to Twilio and Vapi, and who is hot enough to ring about."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Row, bindparam, func, or_, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base.phones import home_regions
from models.base.tables import Base, CreatedAt, EnumText, Id, one_of


class Organization(Base):
    __tablename__ = "organizations"
    __table_args__ = (
        CheckConstraint("code_length BETWEEN 4 AND 8", name="code_length"),
        CheckConstraint("code_tries BETWEEN 1 AND 5", name="code_tries"),
        CheckConstraint("unproved_percent_of_day BETWEEN 1 AND 100", name="unproved_percent_of_day"),
        CheckConstraint("keep_words_days >= 1", name="keep_words_days"),
        CheckConstraint("keep_patients_days >= 1", name="keep_patients_days"),
    )

    id: Mapped[Id]
    name: Mapped[str]
    #: Where a patient rings to change an appointment; printed in the confirmation.
    phone: Mapped[str | None]
    #: ISO 3166 code: the country that a number without its country code belongs to.
    region: Mapped[str]
    #: A clinic whose SMS all go to the sandbox may use numbers that no telephone can have.
    sandbox: Mapped[bool] = mapped_column(server_default="false")
    code_length: Mapped[int] = mapped_column(server_default="4")
    code_tries: Mapped[int] = mapped_column(server_default="3")
    #: How many codes may be sent for one hold, in one call, to one number, and to anyone. Those with a day in
    #: their name are allowances (models/booking/codes.py): filled again steadily over 24 hours.
    codes_per_hold: Mapped[int] = mapped_column(server_default="3")
    codes_per_call: Mapped[int] = mapped_column(server_default="6")
    codes_per_phone_a_day: Mapped[int] = mapped_column(server_default="10")
    codes_a_day: Mapped[int] = mapped_column(server_default="1000")
    #: Codes that one caller may have sent to numbers other than its own.
    codes_per_caller_an_hour: Mapped[int] = mapped_column(server_default="10")
    #: Wrong codes for one number, over all its holds, after which none is tried and it is sent no more.
    wrong_codes_per_phone_a_day: Mapped[int] = mapped_column(server_default="15")
    #: How many times one number may hold at once.
    holds_per_phone: Mapped[int] = mapped_column(server_default="3")
    #: How often one appointment may be moved by the link in its text in 24 hours.
    moves_per_appointment_a_day: Mapped[int] = mapped_column(server_default="4")
    #: Texts about appointments to one number, filled again steadily over 24 hours; those over it wait.
    texts_per_phone_a_day: Mapped[int] = mapped_column(server_default="10")
    #: Segments that all texts of the clinic may take, filled again steadily (models/messaging/limits.py).
    segments_a_day: Mapped[int] = mapped_column(server_default="3000")
    #: How many times one credential may hold for which no code was asked, for numbers that were only said;
    #: with those for callers' own numbers twice as many. 0: none of these three limits.
    unproved_holds: Mapped[int] = mapped_column(server_default="30")
    #: How many times one caller may hold for numbers other than its own, with a code or without.
    unproved_holds_per_caller: Mapped[int] = mapped_column(server_default="5")
    #: How much of what is not booked of a calendar's day may be held for numbers that were only said.
    unproved_percent_of_day: Mapped[int] = mapped_column(server_default="50")
    #: Whether a number of a fixed line or of VoIP may be sent a code, and not only a mobile's.
    landlines_allowed: Mapped[bool] = mapped_column(server_default="false")
    #: ISO 3166 codes of the countries whose numbers may be sent a code, and of no others; empty: those that
    #: share the clinic's numbering plan.
    allowed_countries: Mapped[list[str]] = mapped_column(server_default="[]")
    #: The clinic's own points for scoring leads (models/leads/scoring.py); null: the usual ones.
    lead_rules: Mapped[dict[str, Any] | None]
    #: What they were before migration 0023, when scores had other reasons; only its downgrade reads it.
    former_lead_rules: Mapped[dict[str, Any] | None]
    #: Days; null keeps for ever. What was said: answers to tool calls, the words of SMS, transcripts.
    keep_words_days: Mapped[int | None] = mapped_column(server_default="90")
    #: Days after a patient's last appointment or call, when name and number are erased.
    keep_patients_days: Mapped[int | None]
    created_at: Mapped[CreatedAt]

    @property
    def countries(self) -> list[str]:
        """ISO 3166 codes of the countries whose numbers may be sent a code."""
        return self.allowed_countries or home_regions(self.region)


class IntegrationSettings(Base):
    __tablename__ = "integration_settings"
    __table_args__ = (CheckConstraint("sms_per_second BETWEEN 0 AND 1000", name="sms_per_second"),)

    org_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    twilio_account_sid: Mapped[str | None]
    #: Sealed for this organisation (models/base/sealing.py); a dump shows nothing usable.
    twilio_auth_token_sealed: Mapped[str | None]
    #: An API key (SK…) sends in place of the auth token, which then only checks signatures.
    twilio_api_key_sid: Mapped[str | None]
    twilio_api_key_secret_sealed: Mapped[str | None]
    twilio_from_number: Mapped[str | None]
    twilio_messaging_service_sid: Mapped[str | None]
    #: Who sends the clinic's SMS: a name in tasks/providers/registry.py.
    sms_provider: Mapped[str] = mapped_column(server_default="twilio")
    #: The account with a provider that has no columns of its own here: as that provider writes it, sealed.
    sms_account_sealed: Mapped[str | None]
    #: How many SMS a second its sender takes; 0 leaves the pace to the provider's own queue.
    sms_per_second: Mapped[int] = mapped_column(server_default="10")
    hot_lead_alert_phone: Mapped[str | None]
    #: A score of this much, of 100, makes a hot lead.
    hot_lead_threshold: Mapped[int] = mapped_column(server_default="70")
    #: Seconds; a call must have lasted longer than this for its alert to be sent.
    hot_lead_min_duration: Mapped[int] = mapped_column(server_default="300")
    #: Alerts to the owner's telephone, filled again steadily over an hour; those over it are told together.
    hot_lead_alerts_an_hour: Mapped[int] = mapped_column(server_default="6")
    vapi_api_key_sealed: Mapped[str | None]
    #: The credential in Vapi's keeping that our tools are called with.
    vapi_credential_id: Mapped[str | None]
    vapi_phone_number_id: Mapped[str | None]
    vapi_assistant_id: Mapped[str | None]
    #: Of the configuration as it was last pushed: pushing the same again is no call.
    vapi_assistant_digest: Mapped[str | None]
    created_at: Mapped[CreatedAt]


class CredentialKind(StrEnum):
    BEARER = "bearer"
    VAPI_SECRET = "vapi_secret"  # noqa: S105 (the name of a kind)
    HMAC = "hmac"


class SignatureAlgorithm(StrEnum):
    SHA256 = "sha256"
    SHA512 = "sha512"


class SignatureEncoding(StrEnum):
    HEX = "hex"
    BASE64 = "base64"


class PayloadFormat(StrEnum):
    """What is signed, as Vapi's `payloadFormat` writes it. Both end with the body."""

    #: Vapi's own default. It says nothing of the path (models/clinics/signed_requests.py).
    BODY = "{timestamp}.{body}"
    REQUEST = "{timestamp}.{method}.{url}.{body}"


#: What a signing key is sealed as. It stands in sealed rows, and so it does not change.
SIGNING_KEY = "vapi_hmac"


class VapiCredential(Base):
    __tablename__ = "vapi_credentials"
    __table_args__ = (
        one_of("kind", CredentialKind),
        one_of("algorithm", SignatureAlgorithm),
        one_of("encoding", SignatureEncoding),
        one_of("payload_format", PayloadFormat),
        # What is presented as it is, is kept as a digest; what signs is needed whole, and is kept sealed.
        CheckConstraint(
            "CASE WHEN kind = 'hmac' THEN secret_digest IS NULL AND"
            " num_nonnulls(secret_sealed, algorithm, encoding, signature_header, timestamp_header) = 5"
            " ELSE secret_digest IS NOT NULL AND secret_sealed IS NULL END",
            name="secret",
        ),
        Index("uq_vapi_credentials_secret_digest", "secret_digest", unique=True),
    )

    id: Mapped[Id]
    org_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organizations.id"))
    kind: Mapped[CredentialKind] = mapped_column(EnumText(CredentialKind))
    #: SHA-256 of the secret, in hex. The secret is 32 random bytes, so that no slow hash is needed.
    secret_digest: Mapped[str | None]
    #: For HMAC: the secret itself, sealed for this organisation, and how Vapi was told to sign with it.
    secret_sealed: Mapped[str | None]
    algorithm: Mapped[SignatureAlgorithm | None] = mapped_column(EnumText(SignatureAlgorithm))
    encoding: Mapped[SignatureEncoding | None] = mapped_column(EnumText(SignatureEncoding))
    signature_prefix: Mapped[str] = mapped_column(server_default="")
    signature_header: Mapped[str | None]
    timestamp_header: Mapped[str | None]
    payload_format: Mapped[PayloadFormat] = mapped_column(
        EnumText(PayloadFormat), server_default=PayloadFormat.BODY.value
    )
    #: What an operator calls it.
    label: Mapped[str | None]
    #: To the minute.
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]


_WITH_CLOCK = select(Organization, func.app_clock().label("now")).where(
    Organization.id == bindparam("org_id")
)


def get_or_none(session: Session, org_id: uuid.UUID) -> Organization | None:
    return session.get(Organization, org_id)


def get_with_clock(session: Session, org_id: uuid.UUID) -> tuple[Organization, datetime] | None:
    """The clinic and the database's time, in one trip; both are wanted by every tool call."""
    row = session.execute(_WITH_CLOCK, {"org_id": org_id}).one_or_none()
    return (row.Organization, row.now) if row else None


def get_integration_settings(session: Session, org_id: uuid.UUID) -> IntegrationSettings | None:
    return session.get(IntegrationSettings, org_id)


def every_twilio_account(session: Session) -> list[IntegrationSettings]:
    """The settings of all organisations that have one."""
    return list(
        session.scalars(
            select(IntegrationSettings).where(IntegrationSettings.twilio_account_sid.is_not(None))
        )
    )


def find_by_dialled_number(session: Session, phone_number_id: str) -> uuid.UUID | None:
    """The organisation that alone has this number of Vapi's."""
    found = session.scalars(
        select(IntegrationSettings.org_id)
        .where(IntegrationSettings.vapi_phone_number_id == phone_number_id)
        .limit(2)
    ).all()
    return found[0] if len(found) == 1 else None


def every_credential(session: Session) -> Sequence[Row[Any]]:
    """All credentials of all organisations, oldest first; revoked ones, too, for a request may name one.

    As rows with the columns' names: there may be thousands, and this is read every second.
    """
    columns = [column for column in VapiCredential.__table__.columns if column.name not in _NOT_ASKED]
    return session.execute(select(*columns).order_by(VapiCredential.created_at)).all()


#: What a request is not judged by.
_NOT_ASKED = frozenset({"label", "last_used_at"})


def signing_name(session: Session, org_id: uuid.UUID) -> uuid.UUID | None:
    """The credential that this organisation's signed requests name, if it has one that signs and is live.

    Any of its credentials would do; the oldest live one stays the same while a newer one takes over.
    """
    return session.scalar(
        select(VapiCredential.id)
        .where(
            VapiCredential.org_id == org_id,
            VapiCredential.kind == CredentialKind.HMAC,
            VapiCredential.revoked_at.is_(None),
        )
        .order_by(VapiCredential.created_at)
        .limit(1)
    )


#: A subquery: what an operator calls a credential. Of two expressions, the clinic's id and the credential's.
LABEL_OF_CREDENTIAL = "SELECT v.label FROM vapi_credentials v WHERE v.org_id = {org} AND v.id = {id}"


def record_use(session: Session, credential_id: uuid.UUID) -> None:
    """At most one write a minute, however many calls there are."""
    session.execute(
        update(VapiCredential)
        .where(
            VapiCredential.id == credential_id,
            or_(
                VapiCredential.last_used_at.is_(None),
                VapiCredential.last_used_at < func.now() - timedelta(minutes=1),
            ),
        )
        .values(last_used_at=func.now())
    )
