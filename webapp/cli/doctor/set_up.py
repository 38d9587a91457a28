"""The checks of a clinic's set-up: calendars, staff, the alert phone, its rules and its limits."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.base import phones
from models.booking import bookables, feed_states, gaps, standing
from models.clinics import calendars
from models.clinics.organizations import IntegrationSettings, Organization
from models.clinics.staff import StaffUser
from models.insight import clinic_limits
from models.leads import leads
from webapp.cli.doctor.findings import Findings, missing, ok, required, warning


def check_calendars(session: Session, clinic: Organization, _: IntegrationSettings) -> Findings:
    rows = calendars.list_of_clinic(session, clinic.id)
    if not rows:
        yield missing(
            "calendar",
            "there is none",
            f'flask calendar add {clinic.id} cal-1 --name "Main diary" --zone Europe/London'
            ' --hours "mon-fri 09:00-17:00"',
        )
    for row in rows:
        change = f"flask calendar set {clinic.id} {row.id}"
        try:
            ZoneInfo(row.time_zone)
        except (ValueError, OSError, LookupError):
            yield missing(f"calendar {row.id}", f"no such zone: {row.time_zone}", f"{change} --zone …")
            continue
        bookable = bookables.find(session, row, at_desk=True)
        if bookable is None:
            yield missing(f"calendar {row.id}", "nobody does its service", f"{change} --service …")
        elif days := {day for each in bookable.leaders for day in bookable.timetables[each].weekly}:
            yield ok(f"calendar {row.id}", f"{row.time_zone}, {len(days)} days a week")
        else:
            yield missing(f"calendar {row.id}", "it is never open", f'{change} --hours "mon-fri 09:00-17:00"')


def check_diary(session: Session, clinic: Organization, _: IntegrationSettings) -> Findings:
    for gap in gaps.find(session, clinic.id):
        yield warning("diary", gap, "docs/operations.md, People, rooms and services, has the commands")
    if outside := {each.appointment.id for each in standing.find(session, clinic.id)}:
        yield warning(
            "appointments",
            f"{len(outside)} stand outside hours, under a block, or with a person or service that is retired",
            f"flask diary outside {clinic.id}",
        )


def check_feeds(session: Session, clinic: Organization, _: IntegrationSettings) -> Findings:
    unread = {each.feed_id: each for each in feed_states.find_unread(session, clinic.id)}
    for state in feed_states.states(session, clinic.id):
        feed, what = state.feed, f"calendar {state.feed.label} of {state.name}"
        why = feed_states.SENTENCES[feed.problem] if feed.problem else "no worker has read it"
        if feed.id in unread:
            since = unread[feed.id].since.isoformat(timespec="minutes")
            yield required(clinic)(
                what,
                f"not read since {since}, so callers are not offered {state.name}. {why}",
                f"flask feed list {clinic.id}",
            )
        elif feed.is_on and feed.problem:
            yield warning(what, why, f"flask feed read {clinic.id} {feed.id}")
        elif feed.is_on and feed.read_at:
            yield ok(what, f"{state.busy} busy times to come")


def check_alert_phone(_: Session, clinic: Organization, row: IntegrationSettings) -> Findings:
    change = f"flask organization set {clinic.id} --alert-phone …"
    number = row.hot_lead_alert_phone
    if not number:
        yield missing("hot lead alert phone", "none is set", change)
        return
    try:
        same = phones.e164(number, region=clinic.region, sandbox=clinic.sandbox) == number
    except phones.ImpossibleNumber as error:
        yield missing("hot lead alert phone", f"{number}: {error}", change)
        return
    yield (
        ok("hot lead alert phone", number)
        if same
        else missing("hot lead alert phone", f"{number} is not in the form +44…", change)
    )


def check_staff(session: Session, clinic: Organization, _: IntegrationSettings) -> Findings:
    people = session.scalar(
        select(func.count()).where(
            StaffUser.org_id == clinic.id,
            StaffUser.disabled_at.is_(None),
            StaffUser.password_hash.is_not(None),
        )
    )
    if people:
        yield ok("staff", f"{people} can sign in")
    else:
        yield required(clinic)(
            "staff", "nobody can sign in", f"flask staff add {clinic.id} EMAIL --name … --role owner"
        )


def check_lead_rules(_: Session, clinic: Organization, row: IntegrationSettings) -> Findings:
    if not clinic.lead_rules:
        return
    try:
        leads.own_rules(clinic, row)
    except ValueError:
        yield missing(
            "lead rules",
            "the clinic's own rules cannot be used, so calls are scored by the default ones",
            f"flask leads rules {clinic.id} --from FILE, or --reset",
        )
    else:
        yield ok("lead rules", "the clinic's own rules apply")


def check_limits(session: Session, clinic: Organization, _: IntegrationSettings) -> Findings:
    low = clinic_limits.find_low(session, clinic.id)
    if not low:
        yield ok("limits of the clinic", "less than half of each is used")
    for each in low:
        yield warning(
            f"limit {each.limit.name}",
            f"{each.part:.0%} used. {each.says}",
            f"flask organization set {clinic.id} {each.limit.option} N, if these callers are patients;"
            " otherwise see docs/operations.md, A clinic's codes run low",
        )
