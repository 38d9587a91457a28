"""What the commands share: the actor, the transaction, typed secrets, and the printing of rows."""

from __future__ import annotations

import getpass
import json
import sys
import unicodedata
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from psycopg import errors
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from models.base.one_line import NotOneLine, one_line
from models.base.session import Door, system_transaction, transaction
from models.clinics import limits, organizations
from models.clinics.organizations import Organization

F = TypeVar("F", bound=Callable[..., Any])


def actor() -> str:
    """The actor that the audit log names."""
    try:
        return f"operator {getpass.getuser()}"
    except (OSError, KeyError):  # a container's account may have no name
        return "operator"


@contextmanager
def at(org_id: uuid.UUID) -> Iterator[tuple[Session, Organization]]:
    """A transaction within one clinic, which must exist (ClickException)."""
    with spoken_errors(), transaction(org_id, actor=actor()) as session:
        clinic = organizations.get_or_none(session, org_id)
        if clinic is None:
            raise click.ClickException(
                f"there is no organisation {org_id}; `flask organization list` shows those there are"
            )
        yield session, clinic


@contextmanager
def everywhere() -> Iterator[Session]:
    """A transaction that sees every clinic."""
    with spoken_errors(), system_transaction(Door.OPERATOR, actor=actor()) as session:
        yield session


@contextmanager
def spoken_errors() -> Iterator[None]:
    """Turns an error of the database, and input that is not UTF-8, into a ClickException of one line."""
    try:
        yield
    except DBAPIError as error:
        if isinstance(error.orig, errors.LockNotAvailable | errors.DeadlockDetected):
            raise click.ClickException(
                "somebody else is at work on the same rows; nothing was changed, try again"
            ) from error
        if isinstance(error.orig, errors.IntegrityError):
            name = error.orig.diag.constraint_name
            raise click.ClickException(f"the database refused it ({name}); nothing was changed") from error
        if error.connection_invalidated:
            raise click.ClickException(
                "the connection to the database broke off: look whether it was done before you do it again"
            ) from error
        first_line = str(error.orig).partition("\n")[0]
        raise click.ClickException(f"the database did not do it: {first_line}") from error
    except UnicodeEncodeError:
        raise click.ClickException("what was typed holds bytes that are no UTF-8 text") from None


class Words(click.ParamType[str]):
    """A name or a label: one line, not empty, without invisible characters."""

    name = "text"

    def __init__(self, most: int = 80) -> None:
        self.most = most

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return one_line(str(value), self.most)
        except NotOneLine as error:
            self.fail(str(error), param, ctx)


def telephone(clinic: Organization, said: str) -> str:
    """The number in E.164. Raises ClickException for an impossible number."""
    try:
        return limits.telephone(clinic, said)
    except limits.Unfit as error:
        raise click.ClickException(str(error)) from None


# --- secrets ------------------------------------------------------------------------------------


def secret(what: str, *, twice: bool = False) -> str:
    """A secret typed without an echo, or one line of standard input; other users can read arguments."""
    if sys.stdin.isatty():
        typed: str = click.prompt(what, hide_input=True, confirmation_prompt=twice)
    else:
        typed = sys.stdin.readline().rstrip("\r\n")
    if not typed.strip():
        raise click.ClickException(f"{what}: one line was expected on standard input, and there was none")
    return typed


# --- printing -----------------------------------------------------------------------------------

as_json = click.option("--json", "as_json", is_flag=True, help="For a program to read.")


def print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_rows(
    rows: Sequence[Mapping[str, object]], *, json_wanted: bool, none: str, err: bool = False
) -> None:
    """Print a table, or the rows as JSON; `none` is printed in place of an empty table. `err`: on stderr."""
    if json_wanted:
        print_json(rows)
    elif not rows:
        click.echo(none)
    else:
        lines = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        for line in lines:
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            click.echo("  ".join(cells).rstrip(), err=err)


def print_facts(facts: Mapping[str, object], *, json_wanted: bool) -> None:
    if json_wanted:
        print_json(facts)
        return
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        click.echo(f"{name.ljust(width)}  {_cell(value)}".rstrip())


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value) or "-"
    return str(value)


def whole_numbers(limits: Mapping[str, tuple[int, int, str]]) -> Callable[[F], F]:
    """One option per limit, within the database's range: name to (least, most, help)."""

    def add(command: F) -> F:
        for name, (least, most, meaning) in reversed(list(limits.items())):
            option = click.option(
                f"--{name.replace('_', '-')}", type=click.IntRange(least, most), help=meaning
            )
            command = option(command)
        return command

    return add


def as_heard(name: str) -> str:
    """One text for every spelling of a name, such as capitals or separate accents."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
