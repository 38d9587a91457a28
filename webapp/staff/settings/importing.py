"""/dashboard/settings/importing: an existing diary from a file, in three steps.

A file is chosen and kept for an hour; its names are matched, beside what would become of each row; then it is
imported by the same code, in one transaction.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from http import HTTPStatus

from flask import flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from models.booking import resources, services
from models.booking.hours import Impossible
from models.booking.imports import judging, matching, putting, reading, uploads
from models.booking.imports.entries import File, Kind, Unreadable, one_line
from models.booking.imports.matching import NEW, OUT, Choices, Ground
from models.booking.imports.reports import Report
from models.booking.imports.uploads import ImportFile
from models.booking.resources import ResourceKind
from models.clinics import calendars
from models.clinics.organizations import Organization
from webapp.staff import given, guard, shown
from webapp.staff.guard import in_clinic, signed
from webapp.staff.settings.owners import blueprint
from webapp.staff.uploads import MOST_OF_A_FORM
from webapp.state import per_app
from webapp.turns import NoTurn, Turns
from webapp.unit_of_work import Busy

guard.MORE_BYTES["dashboard.settings.upload"] = MOST_OF_A_FORM

#: A file takes seconds of a processor to read, which callers need, too: one is read at a time. Those that
#: wait keep a thread each, for so many seconds at most.
_reading = per_app(lambda: Turns(1, waiting=2))
LONGEST_WAIT = 10.0

#: The most appointments and blocks that are imported by the page, within the time of a request
#: (docs/decisions/0037); the command takes more.
MOST_BY_PAGE = 5_000

#: The most names of one sort that can be matched by hand, the most frequent first.
_MOST_NAMES = 100

#: The most rows of the dry run that are shown.
_MOST_SHOWN = 200

_GONE = "That file is no longer kept. Choose it again."
_ANOTHER_CHOICE = (
    "Nothing was imported yet: you have matched a name differently. Check the rows below, then import."
)


@dataclass(frozen=True, slots=True)
class Question:
    """One name of the file, and what it may stand for: `field` is that of the form."""

    field: str
    name: str
    count: int
    chosen: str
    options: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Look:
    """A kept file as its page shows it."""

    upload: ImportFile
    report: Report
    questions: dict[str, list[Question]]
    choices: Choices

    @property
    def is_too_large(self) -> bool:
        return len(self.report.planned) > MOST_BY_PAGE


@blueprint.get("/importing")
def importing() -> ResponseReturnValue:
    kept = in_clinic(uploads.get_or_none)
    return render_template("dashboard/settings/importing.html", kept=kept, wrong=None)


@blueprint.post("/importing")
def upload() -> ResponseReturnValue:
    """Keep the file that was chosen, if it can be read."""
    sent = request.files.get("file")
    data = sent.read() if sent else b""
    name = one_line(sent.filename or "", 120) if sent else ""

    def keep(at: Session, org_id: uuid.UUID) -> None:
        choices = matching.guess(at, org_id, file)
        if kind is Kind.ICS and choices.people.get("") == NEW:
            choices = replace(choices, people={"": OUT})
        uploads.keep(at, org_id, kind=kind, file_name=name, body=data, choices=choices)

    try:
        kind = reading.kind_of(data)
        file = _file(data, kind)
        in_clinic(keep)
    except Unreadable as problem:
        wrong = shown.sentence(str(problem))
        return (
            render_template("dashboard/settings/importing.html", kept=None, wrong=wrong),
            HTTPStatus.UNPROCESSABLE_ENTITY,
        )
    return redirect(url_for("dashboard.settings.imported_file"), HTTPStatus.SEE_OTHER)


@blueprint.get("/importing/file")
def imported_file() -> ResponseReturnValue:
    """What the names of the kept file stand for, and what would become of its rows."""
    kept = _read(in_clinic(uploads.get_or_none))
    if kept is None:
        return _gone()
    row, file, choices = kept

    def look_at(at: Session, org_id: uuid.UUID) -> Look:
        report = judging.judge(at, _clinic(at, org_id), file, choices, calendars.zone(at, org_id))
        return Look(row, report, _questions(at, org_id, file, choices), choices)

    look = in_clinic(look_at)
    return render_template(
        "dashboard/settings/importing_file.html",
        page="importing",
        look=look,
        report=look.report,
        most_shown=_MOST_SHOWN,
        most_by_page=MOST_BY_PAGE,
    )


@blueprint.post("/importing/file")
def match() -> ResponseReturnValue:
    """Keep what was chosen for each name."""
    kept = _read(in_clinic(_kept))
    if kept is None:
        return _gone()
    _, file, choices = kept

    def work(at: Session, org_id: uuid.UUID) -> bool:
        row = _kept(at, org_id, for_update=True)
        if row is None:
            return False
        row.choices = asdict(_chosen(at, org_id, file, choices))
        return True

    if not in_clinic(work):
        return _gone()
    return redirect(url_for("dashboard.settings.imported_file", _anchor="rows"), HTTPStatus.SEE_OTHER)


@blueprint.post("/importing/file/import")
def run_import() -> ResponseReturnValue:
    """Put the kept file into the diary, if that is as the page has shown it: by the same choices, and with no
    more refused.
    """
    seen = None if request.form.get("others") == "1" else request.form.get("seen", "")
    kept = _read(in_clinic(_kept))
    if kept is None:
        return _gone()
    _, file, choices = kept

    def work(at: Session, org_id: uuid.UUID) -> Report | str | None:
        row = _kept(at, org_id, for_update=True)
        # The choices may be others than those by which it was read.
        if row is None or Choices.read(row.choices) != choices:
            return None
        if (chosen := _chosen(at, org_id, file, choices)) != choices:
            row.choices = asdict(chosen)
            return _ANOTHER_CHOICE
        zone = calendars.zone(at, org_id)
        booker = signed().actor
        report = putting.put(
            at, _clinic(at, org_id), file, choices, zone, booker=booker, seen=seen, most=MOST_BY_PAGE
        )
        uploads.forget(at, org_id)
        return report

    def happened(at: Session, _: Report | str | None) -> bool:
        return _kept(at, signed().org_id) is None

    try:
        report = in_clinic(work, happened=happened)
    except putting.NotAsSeen:
        return _look_again(
            "Nothing was imported: the diary has changed since you looked. Check the rows below again,"
            " then import."
        )
    except Impossible as problem:
        flash(f"Nothing was imported: {problem}.", "not_done")
        return redirect(url_for("dashboard.settings.imported_file"), HTTPStatus.SEE_OTHER)
    if report is None:
        return _gone()
    return _look_again(report) if isinstance(report, str) else _imported(report)


def _look_again(why: str) -> ResponseReturnValue:
    flash(why, "not_done")
    return redirect(url_for("dashboard.settings.imported_file", _anchor="rows"), HTTPStatus.SEE_OTHER)


def _imported(report: Report) -> ResponseReturnValue:
    """The way to the first day of what was imported, with what was done."""
    flash(_done(report), "done")
    if report.refused:
        lines = [str(each.line) for each in report.refused]
        more = f" and {len(lines) - 20} more" if len(lines) > 20 else ""
        flash(f"Not imported: rows {', '.join(lines[:20])}{more}. Book these by hand.", "not_done")
    first = min((each.starts_at for each in report.appointments + report.blocks), default=None)
    day = first and first.astimezone(g.words.zone).date().isoformat()
    return redirect(url_for("dashboard.diary", day=day), HTTPStatus.SEE_OTHER)


@blueprint.post("/importing/file/forget")
def forget_file() -> ResponseReturnValue:
    """Erase the kept file."""
    in_clinic(uploads.forget)
    flash("The file is erased. Nothing was imported.", "done")
    return redirect(url_for("dashboard.settings.importing"), HTTPStatus.SEE_OTHER)


@blueprint.errorhandler(Unreadable)
def _unreadable(problem: Unreadable) -> ResponseReturnValue:
    """The kept file cannot be read as it was chosen to be: with all its past it may be too long."""
    flash(f"The file cannot be read: {problem}. Choose it again, or another one.", "not_done")
    return redirect(url_for("dashboard.settings.importing"), HTTPStatus.SEE_OTHER)


def _gone() -> ResponseReturnValue:
    flash(_GONE, "not_done")
    return redirect(url_for("dashboard.settings.importing"), HTTPStatus.SEE_OTHER)


def _clinic(at: Session, org_id: uuid.UUID) -> Organization:
    return at.get_one(Organization, org_id)


def _kept(at: Session, org_id: uuid.UUID, *, for_update: bool = False) -> ImportFile | None:
    """The file that this form is about."""
    upload_id = given.row_id("upload")
    return uploads.get_or_none(at, org_id, upload_id, for_update=for_update) if upload_id else None


def _ground(at: Session, org_id: uuid.UUID) -> Ground:
    return matching.ground(at, _clinic(at, org_id))


def _file(data: bytes, kind: Kind, *, with_past: bool = False) -> File:
    """What is in a file. Raises Unreadable, and Busy while others are read."""
    ground = in_clinic(_ground)
    try:
        with _reading().turn(longest=LONGEST_WAIT):
            return ground.read(data, kind, with_past=with_past)
    except NoTurn:
        raise Busy from None


def _read(row: ImportFile | None) -> tuple[ImportFile, File, Choices] | None:
    """What is in a kept file, which is read while no transaction is open."""
    if row is None:
        return None
    choices = Choices.read(row.choices)
    return row, _file(row.body, row.kind, with_past=choices.with_past), choices


def _done(report: Report) -> str:
    counts = [
        f"{count} {word if count == 1 else words}"
        for count, word, words in (
            (len(report.appointments), "appointment", "appointments"),
            (len(report.past), "past appointment", "past appointments"),
            (len(report.blocks), "block", "blocks"),
        )
        if count
    ]
    if not counts:
        return "Nothing was left to import."
    total = len(report.planned)
    return f"{' and '.join(counts)} {'was' if total == 1 else 'were'} imported. No text was sent to anybody."


def _questions(at: Session, org_id: uuid.UUID, file: File, choices: Choices) -> dict[str, list[Question]]:
    """What is asked of each sort of names."""
    every = resources.list_of_clinic(at, org_id)
    sorts = (
        ("people", "person", [(e.id, e.name) for e in every if e.kind is ResourceKind.PERSON]),
        ("services", "service", [(e.id, e.name) for e in services.list_of_clinic(at, org_id)]),
        ("rooms", "room", [(e.id, e.name) for e in every if e.kind is ResourceKind.ROOM]),
    )
    found: dict[str, list[Question]] = {}
    for sort, word, known in sorts:
        chosen: Mapping[str, str] = getattr(choices, sort)
        counts = file.names(word)
        names = sorted(
            (each for each in counts if each or word != "room"), key=lambda each: (-counts[each], each)
        )
        found[sort] = [
            Question(
                f"{word}-{place}",
                name,
                counts[name],
                chosen.get(name, OUT),
                tuple(_options(word, name, known)),
            )
            for place, name in enumerate(names[:_MOST_NAMES])
        ]
    return found


def _options(word: str, name: str, known: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    yield from known
    if name:
        yield NEW, f"Add “{name}” as a new {word}"
    elif word == "service":
        yield NEW, "Add a service for them"
    if name or word == "person":
        yield OUT, "Import without a room" if word == "room" else "Leave these rows out"


def _chosen(at: Session, org_id: uuid.UUID, file: File, choices: Choices) -> Choices:
    """The choices with the answers of the form."""
    chosen = {
        sort: {**getattr(choices, sort), **_answers(questions)}
        for sort, questions in _questions(at, org_id, file, choices).items()
    }
    return replace(choices, **chosen, with_past=request.form.get("with_past") == "1")


def _answers(questions: list[Question]) -> dict[str, str]:
    """What was chosen, as far as it could be."""
    return {
        each.name: chosen
        for each in questions
        if (chosen := request.form.get(each.field, "")) in dict(each.options)
    }
