"""/dashboard/settings/clinic: what patients read, hot leads, codes and texts, and how long data is kept."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from models.base import phones
from models.base.one_line import NotOneLine, one_line
from models.clinics import limits
from models.clinics.limits import LEADS, LIMITS, OWNERS_MOST, Unfit
from models.clinics.organizations import IntegrationSettings, Organization, integration_settings
from webapp.staff.guard import in_clinic
from webapp.staff.settings.owners import blueprint


class Kind(Enum):
    """How a field is typed and read."""

    LINE = auto()
    PHONE = auto()
    ALERT_PHONE = auto()
    NUMBER = auto()
    DAYS = auto()
    TICK = auto()


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the form: the column that it changes, and what that changes for callers."""

    name: str
    label: str
    says: str
    kind: Kind = Kind.NUMBER


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    title: str
    fields: tuple[Field, ...]
    #: What an owner should rarely touch is folded away below these.
    rare: tuple[Field, ...] = ()


GROUPS = (
    Group(
        "patients",
        "What patients read",
        (
            Field(
                "name",
                "Name of the clinic",
                "Appears in every text, and on the page that a link opens.",
                Kind.LINE,
            ),
            Field("phone", "Telephone", "Where patients ring to change an appointment.", Kind.PHONE),
        ),
    ),
    Group(
        "leads",
        "Hot leads",
        (
            Field(
                "hot_lead_alert_phone",
                "Alert phone",
                "Gets a text about each hot lead. Leave it empty for no texts: these pages still show them.",
                Kind.ALERT_PHONE,
            ),
            Field(
                "hot_lead_threshold",
                "Score of a hot lead, out of 100",
                "A call with this score or more is a hot lead. A lower score means more alerts.",
            ),
        ),
        (
            Field(
                "hot_lead_min_duration",
                "Shortest call, in seconds",
                "A shorter call sends no alert, however high its score.",
            ),
            Field(
                "hot_lead_alerts_an_hour",
                "Alerts an hour",
                "Further hot leads in that hour share one text.",
            ),
        ),
    ),
    Group(
        "codes",
        "Codes and texts",
        (
            Field(
                "code_length",
                "Digits of a code",
                "The caller reads them back. A longer code is harder to guess.",
            ),
            Field("code_tries", "Wrong codes", "After this many, the caller loses the held time."),
            Field(
                "landlines_allowed",
                "Landlines may get codes",
                "If not, a caller needs a mobile. Many landlines read a text aloud, but not all.",
                Kind.TICK,
            ),
            Field("holds_per_phone", "Times held per number", "How many times one number can hold at once."),
            Field(
                "moves_per_appointment_a_day",
                "Moves of an appointment a day",
                "How often a patient can move an appointment by the link. Each move sends a text.",
            ),
        ),
        (
            Field("codes_per_hold", "Codes per held time", "The most codes that are sent for one held time."),
            Field("codes_per_call", "Codes per call", "The most codes that are sent in one call."),
            Field(
                "codes_per_phone_a_day",
                "Codes to one number a day",
                "A caller who needs more has to wait, or to be booked at the desk.",
            ),
            Field(
                "codes_a_day", "Codes a day", "Once they are used up, nobody can book by phone for a while."
            ),
            Field(
                "codes_per_caller_an_hour",
                "Codes to other numbers an hour",
                "The most codes that one caller can have sent to numbers other than their own.",
            ),
            Field(
                "wrong_codes_per_phone_a_day",
                "Wrong codes for one number a day",
                "After this many, the number gets no more codes. A higher limit makes guessing easier.",
            ),
            Field(
                "texts_per_phone_a_day",
                "Texts to one number a day",
                "Further texts about its appointments wait.",
            ),
            Field(
                "segments_a_day",
                "SMS segments a day",
                "Limits what texts can cost. A long text has several segments; one abroad counts as four."
                " Texts over the limit wait. You can lower it; only the operator of Holdline can raise it.",
            ),
        ),
    ),
    Group(
        "keeping",
        "How long data is kept",
        (
            Field(
                "keep_words_days",
                "Days to keep what was said",
                "For transcripts and the wording of texts. Leave it empty to keep them for ever.",
                Kind.DAYS,
            ),
            Field(
                "keep_patients_days",
                "Days to keep a patient",
                "After the last appointment or call; then name and number are erased. Empty: for ever.",
                Kind.DAYS,
            ),
        ),
    ),
)
FIELDS = {each.name: each for group in GROUPS for each in (*group.fields, *group.rare)}
#: The columns of `integration_settings`; the others are of `organizations`.
OF_CONNECTIONS = {"hot_lead_alert_phone", *LEADS}

#: The tick without which nothing is kept for fewer days than before.
MAY_ERASE = "may_erase"


@blueprint.get("/clinic")
def clinic() -> ResponseReturnValue:
    def look(at: Session, org_id: uuid.UUID) -> tuple[Organization, IntegrationSettings]:
        return at.get_one(Organization, org_id), integration_settings(at, org_id)

    row, connections = in_clinic(look)
    return _page(row, connections, _shown(row, connections))


@blueprint.post("/clinic")
def change_clinic() -> ResponseReturnValue:
    """Write the fields that this owner changed, and no others. If one of them was changed meanwhile, or one
    is wrong, nothing is written and the page comes back.
    """

    def save(at: Session, org_id: uuid.UUID) -> _Saved:
        row = at.get_one(Organization, org_id, with_for_update={"key_share": True})
        connections = integration_settings(at, org_id)
        saved = _Saved(row, connections, _shown(row, connections), request.form)
        if not saved.wrong:
            for name, value in saved.values.items():
                setattr(connections if name in OF_CONNECTIONS else row, name, value)
        return saved

    saved = in_clinic(save)
    if saved.wrong:
        page = _page(saved.row, saved.connections, saved.now, typed=saved.typed, wrong=saved.wrong)
        return page, HTTPStatus.BAD_REQUEST
    if saved.values:
        flash(f"Saved: {', '.join(FIELDS[name].label for name in saved.values)}.", "done")
    else:
        flash("Nothing was different, so nothing was saved.", "done")
    return redirect(url_for("dashboard.settings.clinic"), HTTPStatus.SEE_OTHER)


class _Saved:
    """What a form asks for, against what stands in the locked rows."""

    def __init__(
        self,
        row: Organization,
        connections: IntegrationSettings,
        now: dict[str, str],
        form: Mapping[str, str],
    ) -> None:
        self.row, self.connections, self.now = row, connections, now
        was = {name: form.get(f"was_{name}", now[name]) for name in FIELDS}
        given = {name: _given(each, form) for name, each in FIELDS.items()}
        #: What this owner typed in place of what the form showed.
        self.typed = {name: text for name, text in given.items() if text != was[name] and text != now[name]}
        self.values: dict[str, object] = {}
        self.wrong: dict[str, str] = {}
        for name, text in self.typed.items():
            if now[name] != was[name]:
                shown = now[name] or "empty"
                self.wrong[name] = f"was changed meanwhile, and is now {shown}. Save again to keep yours."
                continue
            try:
                self.values[name] = _READ[FIELDS[name].kind](self, name, text)
            except Unfit as error:
                self.wrong[name] = f"{error}."
            except NotOneLine as error:
                self.wrong[name] = f"will not do: {error}."
        if MAY_ERASE not in form and any(map(self._shortens, self.values)):
            self.wrong[MAY_ERASE] = "You made the days fewer. Tick this box to have older data erased."

    def _shortens(self, name: str) -> bool:
        if FIELDS[name].kind is not Kind.DAYS:
            return False
        days, before = self.values[name], getattr(self.row, name)
        return isinstance(days, int) and (before is None or days < before)

    def number(self, name: str, text: str) -> int:
        today: int = getattr(self.connections if name in OF_CONNECTIONS else self.row, name)
        return limits.owners_number(name, text, today)

    def days(self, _: str, text: str) -> int | None:
        try:
            return limits.days(text) if text else None
        except Unfit:
            least, most = limits.SHORTEST_KEPT, limits.LONGEST_KEPT
            raise Unfit(f"give a number of days from {least} to {most}, or leave it empty") from None


_READ: dict[Kind, Callable[[_Saved, str, str], object]] = {
    Kind.LINE: lambda _, __, text: one_line(text),
    Kind.PHONE: lambda saved, _, text: limits.telephone(saved.row, text),
    Kind.ALERT_PHONE: lambda saved, _, text: limits.alert_phone(saved.row, text) if text else None,
    Kind.NUMBER: _Saved.number,
    Kind.DAYS: _Saved.days,
    Kind.TICK: lambda _, __, text: bool(text),
}


def _given(field: Field, form: Mapping[str, str]) -> str:
    if field.kind is Kind.TICK:
        return "on" if field.name in form else ""
    return form.get(field.name, "").replace("\x00", "").strip()


def _shown(row: Organization, connections: IntegrationSettings) -> dict[str, str]:
    """The text in each field for what stands in the rows."""

    def text(field: Field) -> str:
        value = getattr(
            connections if field.name in LEADS or field.kind is Kind.ALERT_PHONE else row, field.name
        )
        if field.kind is Kind.TICK:
            return "on" if value else ""
        if value is not None and field.kind in (Kind.PHONE, Kind.ALERT_PHONE):
            return phones.readable(value)
        return "" if value is None else str(value)

    return {name: text(field) for name, field in FIELDS.items()}


def _page(
    row: Organization,
    connections: IntegrationSettings,
    now: dict[str, str],
    *,
    typed: Mapping[str, str] | None = None,
    wrong: Mapping[str, str] | None = None,
) -> str:
    numbers = LIMITS | LEADS
    return render_template(
        "dashboard/settings/clinic.html",
        groups=GROUPS,
        now=now,
        values={**now, **(typed or {})},
        wrong=wrong or {},
        least={name: numbers[name].least for name in OWNERS_MOST},
        most={name: max(most, int(now[name])) for name, most in OWNERS_MOST.items()},
        operators=_of_the_operator(row, connections),
        row=row,
    )


def _of_the_operator(row: Organization, connections: IntegrationSettings) -> list[tuple[str, str]]:
    """What an owner sees and does not change (docs/decisions/0036-what-owners-change.md)."""
    pace = connections.sms_per_second
    return [
        ("Country", row.region),
        ("Codes go to", ", ".join(row.countries)),
        ("Practice mode, in which no text is sent", "on" if row.sandbox else "off"),
        ("SMS a second", str(pace) if pace else "as fast as the provider takes them"),
        ("Times held without a code, per credential", str(row.unproved_holds or "any")),
        ("Times held for others, per caller", str(row.unproved_holds_per_caller)),
        ("Share of a day held without a code", f"{row.unproved_percent_of_day} %"),
    ]
