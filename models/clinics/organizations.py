"""A clinic with its limits, its connections to Twilio and Vapi, and its thresholds for hot leads."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Row, bindparam, exists, func, or_, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column
from sqlalchemy.sql.elements import ColumnElement

from models.base.phones import home_regions
from models.base.tables import Base, CreatedAt, EnumText, Id, one_of


class Organization(Base):
    __tablename__ = "organizations"
    __table_args__ = (
        CheckConstraint("code_length BETWEEN 4 AND 8", name="code_length"),
        CheckConstraint("code_tries BETWEEN 1 AND 5", name="code_tries"),
        CheckConstraint("unproved_percent_of_day BETWEEN 1 AND 100", name="unproved_percent_of_day"),
        CheckConstraint("feed_limit_hours BETWEEN 1 AND 336", name="feed_limit_hours"),
        CheckConstraint("keep_words_days >= 1", name="keep_words_days"),
        CheckConstraint("keep_patients_days >= 1", name="keep_patients_days"),
    )

    id: Mapped[Id]
    name: Mapped[str]
    #: The number that a patient rings to change an appointment; printed in the confirmation.
    phone: Mapped[str | None]
    #: ISO 3166 code of the country to which a number without a country code belongs.
    region: Mapped[str]
    #: All messages of a sandbox clinic go to the sandbox, so it may use numbers that no telephone can have.
    sandbox: Mapped[bool] = mapped_column(server_default="false")
    code_length: Mapped[int] = mapped_column(server_default="4")
    code_tries: Mapped[int] = mapped_column(server_default="3")
    #: How many codes may be sent for one hold, in one call, to one number, and in all. The limits for a day
    #: are allowances (models/booking/codes.py): filled again steadily over 24 hours.
    codes_per_hold: Mapped[int] = mapped_column(server_default="3")
    codes_per_call: Mapped[int] = mapped_column(server_default="6")
    codes_per_phone_a_day: Mapped[int] = mapped_column(server_default="10")
    codes_a_day: Mapped[int] = mapped_column(server_default="1000")
    #: How many codes one caller may have sent to numbers other than its own.
    codes_per_caller_an_hour: Mapped[int] = mapped_column(server_default="10")
    #: How many wrong codes may be said for one number, over all its holds; after that no code is tried for it
    #: and none is sent to it.
    wrong_codes_per_phone_a_day: Mapped[int] = mapped_column(server_default="15")
    #: How many holds one number may have at once.
    holds_per_phone: Mapped[int] = mapped_column(server_default="3")
    #: How often one appointment may be moved in 24 hours by the link in its confirmation.
    moves_per_appointment_a_day: Mapped[int] = mapped_column(server_default="4")
    #: Messages about appointments to one number, filled again steadily over 24 hours; further ones wait.
    texts_per_phone_a_day: Mapped[int] = mapped_column(server_default="10")
    #: Segments of all the clinic's messages, filled again steadily (models/messaging/limits.py).
    segments_a_day: Mapped[int] = mapped_column(server_default="3000")
    #: How many unproved holds one credential may have for numbers that were only said, and twice as many
    #: together with those for callers' own numbers. 0 turns off this limit and the next two.
    unproved_holds: Mapped[int] = mapped_column(server_default="30")
    #: How many holds one caller may have for numbers other than its own, with a code or without.
    unproved_holds_per_caller: Mapped[int] = mapped_column(server_default="5")
    #: Percent of the unbooked slots of a calendar's day that may be held for numbers that were only said.
    unproved_percent_of_day: Mapped[int] = mapped_column(server_default="50")
    #: A person whose calendar from elsewhere was not read well for so long is not offered to callers.
    feed_limit_hours: Mapped[int] = mapped_column(server_default="24")
    #: Whether codes may go to fixed lines and VoIP numbers, and not only to mobiles.
    landlines_allowed: Mapped[bool] = mapped_column(server_default="false")
    #: ISO 3166 codes of the only countries to whose numbers codes may go; empty: the countries that share the
    #: clinic's numbering plan.
    allowed_countries: Mapped[list[str]] = mapped_column(server_default="[]")
    #: The clinic's own points for scoring leads (models/leads/scoring.py); null: the default points.
    lead_rules: Mapped[dict[str, Any] | None]
    #: The points before migration 0023, when scores had other reasons; only its downgrade reads them.
    former_lead_rules: Mapped[dict[str, Any] | None]
    #: Days to keep answers to tool calls, the text of messages, and transcripts; null: for ever.
    keep_words_days: Mapped[int | None] = mapped_column(server_default="90")
    #: Days after a patient's last appointment or call until name and number are erased; null: never.
    keep_patients_days: Mapped[int | None]
    created_at: Mapped[CreatedAt]

    @property
    def countries(self) -> list[str]:
        """ISO 3166 codes of the countries to whose numbers codes may go."""
        return self.allowed_countries or home_regions(self.region)


class IntegrationSettings(Base):
    __tablename__ = "integration_settings"
    __table_args__ = (CheckConstraint("sms_per_second BETWEEN 0 AND 1000", name="sms_per_second"),)

    org_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    twilio_account_sid: Mapped[str | None]
    #: Sealed for this clinic (models/base/sealing.py), so that a dump shows nothing usable.
    twilio_auth_token_sealed: Mapped[str | None]
    #: An API key (SK…) that sends in place of the auth token, which then only checks signatures.
    twilio_api_key_sid: Mapped[str | None]
    twilio_api_key_secret_sealed: Mapped[str | None]
    twilio_from_number: Mapped[str | None]
    twilio_messaging_service_sid: Mapped[str | None]
    #: The provider of the clinic's messages: a name in tasks/providers/registry.py.
    sms_provider: Mapped[str] = mapped_column(server_default="twilio")
    #: The account at a provider without columns of its own here, in that provider's format, sealed.
    sms_account_sealed: Mapped[str | None]
    #: The pace of the clinic's sender, in messages a second; 0 leaves it to the provider's own queue.
    sms_per_second: Mapped[int] = mapped_column(server_default="10")
    hot_lead_alert_phone: Mapped[str | None]
    #: The least score, of 100, that makes a hot lead.
    hot_lead_threshold: Mapped[int] = mapped_column(server_default="70")
    #: Seconds; only a call that lasted longer has its alert sent.
    hot_lead_min_duration: Mapped[int] = mapped_column(server_default="300")
    #: Alerts to the owner's telephone, filled again steadily over an hour; further ones share one message.
    hot_lead_alerts_an_hour: Mapped[int] = mapped_column(server_default="6")
    vapi_api_key_sealed: Mapped[str | None]
    #: The id of the credential, stored at Vapi, with which it calls our tools.
    vapi_credential_id: Mapped[str | None]
    vapi_phone_number_id: Mapped[str | None]
    vapi_assistant_id: Mapped[str | None]
    #: A digest of the configuration that was pushed last: an unchanged one is not pushed again.
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
    """The signed text, in the notation of Vapi's `payloadFormat`. Both formats end with the body."""

    #: Vapi's default, which does not cover the path (models/clinics/signed_requests.py).
    BODY = "{timestamp}.{body}"
    REQUEST = "{timestamp}.{method}.{url}.{body}"


#: The purpose for which signing keys are sealed. Stored keys depend on it, so it must not change.
SIGNING_KEY = "vapi_hmac"


class VapiCredential(Base):
    __tablename__ = "vapi_credentials"
    __table_args__ = (
        one_of("kind", CredentialKind),
        one_of("algorithm", SignatureAlgorithm),
        one_of("encoding", SignatureEncoding),
        one_of("payload_format", PayloadFormat),
        # A secret that is presented is stored as a digest; a signing key is needed whole and stored sealed.
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
    #: SHA-256 of the secret, in hex. The secret is 32 random bytes, so it needs no slow hash.
    secret_digest: Mapped[str | None]
    #: For HMAC: the secret itself, sealed for this clinic, and how Vapi was told to sign with it.
    secret_sealed: Mapped[str | None]
    algorithm: Mapped[SignatureAlgorithm | None] = mapped_column(EnumText(SignatureAlgorithm))
    encoding: Mapped[SignatureEncoding | None] = mapped_column(EnumText(SignatureEncoding))
    signature_prefix: Mapped[str] = mapped_column(server_default="")
    signature_header: Mapped[str | None]
    timestamp_header: Mapped[str | None]
    payload_format: Mapped[PayloadFormat] = mapped_column(
        EnumText(PayloadFormat), server_default=PayloadFormat.BODY.value
    )
    #: The operator's name for it.
    label: Mapped[str | None]
    #: Exact to the minute.
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]


_WITH_CLOCK = select(Organization, func.app_clock().label("now")).where(
    Organization.id == bindparam("org_id")
)


def get_or_none(session: Session, org_id: uuid.UUID) -> Organization | None:
    return session.get(Organization, org_id)


def get_with_clock(session: Session, org_id: uuid.UUID) -> tuple[Organization, datetime] | None:
    """The clinic and the database's time in one round trip; every tool call needs both."""
    row = session.execute(_WITH_CLOCK, {"org_id": org_id}).one_or_none()
    return (row.Organization, row.now) if row else None


def get_integration_settings(session: Session, org_id: uuid.UUID) -> IntegrationSettings | None:
    return session.get(IntegrationSettings, org_id)


def integration_settings(session: Session, org_id: uuid.UUID) -> IntegrationSettings:
    """The clinic's integration settings; made if there are none yet."""
    found = get_integration_settings(session, org_id)
    if found is None:
        found = IntegrationSettings(org_id=org_id)
        session.add(found)
        session.flush()
        session.refresh(found)
    return found


def every_twilio_account(session: Session) -> list[IntegrationSettings]:
    """The settings of all clinics that have a Twilio account."""
    return list(
        session.scalars(
            select(IntegrationSettings).where(IntegrationSettings.twilio_account_sid.is_not(None))
        )
    )


def find_by_dialled_number(session: Session, phone_number_id: str) -> uuid.UUID | None:
    """The only clinic with this id of a Vapi number; None if no clinic or several have it."""
    found = session.scalars(
        select(IntegrationSettings.org_id)
        .where(IntegrationSettings.vapi_phone_number_id == phone_number_id)
        .limit(2)
    ).all()
    return found[0] if len(found) == 1 else None


def every_credential(session: Session) -> Sequence[Row[Any]]:
    """All credentials of all clinics, oldest first; revoked ones too, because a request may name them.

    Plain rows and no objects, because there may be thousands and they are read every second.
    """
    columns = [column for column in VapiCredential.__table__.columns if column.name not in _NOT_ASKED]
    return session.execute(select(*columns).order_by(VapiCredential.created_at)).all()


#: Columns that are not needed to judge a request.
_NOT_ASKED = frozenset({"label", "last_used_at"})


def signing_name(session: Session, org_id: uuid.UUID) -> uuid.UUID | None:
    """The id of the clinic's oldest HMAC credential that is not revoked, for its signed requests to name.

    Any of its credentials would do; the oldest stays the same while a newer one takes over.
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


def can_text(org_id: uuid.UUID) -> ColumnElement[bool]:
    """A condition: the clinic has an account to send SMS with, and something to send them from."""
    account = IntegrationSettings
    sender = func.coalesce(account.twilio_from_number, account.twilio_messaging_service_sid)
    return exists().where(
        account.org_id == org_id,
        account.sms_account_sealed.is_not(None)
        | (account.twilio_account_sid.is_not(None) & sender.is_not(None)),
    )


def lets_calls_in(org_id: uuid.UUID) -> ColumnElement[bool]:
    """A condition: the clinic has a credential that is not revoked."""
    return exists().where(VapiCredential.org_id == org_id, VapiCredential.revoked_at.is_(None))


def credentials_in_force(session: Session, org_id: uuid.UUID) -> Sequence[Row[Any]]:
    """The credentials of a clinic that are not revoked, oldest first, without their secrets: `kind`, `label`,
    `last_used_at` and `created_at`.
    """
    columns = VapiCredential.__table__.columns
    query = (
        select(*(columns[name] for name in ("kind", "label", "last_used_at", "created_at")))
        .where(VapiCredential.org_id == org_id, VapiCredential.revoked_at.is_(None))
        .order_by(VapiCredential.created_at)
    )
    return session.execute(query).all()


#: A subquery for the operator's name of a credential, given expressions for the ids of clinic and credential.
LABEL_OF_CREDENTIAL = "SELECT v.label FROM vapi_credentials v WHERE v.org_id = {org} AND v.id = {id}"


def record_use(session: Session, credential_id: uuid.UUID) -> None:
    """Note that a credential was used, with at most one write a minute."""
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
