"""What outlives a test in this process and in its database, where it would count against the next test."""

from __future__ import annotations

import psycopg

import settings
from webapp import attacks, limits, nudge, shares
from webapp.agents import credentials, watching
from webapp.patient import pages
from webapp.staff import pages as dashboard
from webapp.twilio import inbound

#: Rows of no clinic: the tries to sign in of each network, and when each sweep ran last.
_ROWS_OF_NOBODY = "DELETE FROM sign_in_limits; DELETE FROM sweeps"


def forget_all(database: psycopg.Connection) -> None:
    """Put this process and its database into the state of a product that has just started.

    What was tried in one test is neither refused nor told in another. The settings are read again, because
    a thread may have read them while the variables of the last test were still there.
    """
    settings.get.cache_clear()
    settings.get()
    credentials.forget()
    inbound.accounts.forget()
    attacks.forget()
    limits._limiters.cache_clear()
    limits._lines.forget()
    nudge._nudger._closed_until = 0.0
    pages.guesses.forget()
    # These are made once a process, and some places may still be taken. They are made here, out of the
    # settings of all tests, and not in the first test that asks, which may have other settings for a while.
    shares.threads()
    watching._watchers()
    dashboard._places()
    database.execute(_ROWS_OF_NOBODY)
