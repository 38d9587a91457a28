"""The domain: tables, rules and queries. It uses no web framework and no provider.

Its rooms stand in one column: insight, notices, leads, calls, booking, messaging, clinics, base. Each room
imports only the rooms after it in this list.
"""

# ruff: noqa: F401 -- SQLAlchemy resolves a foreign key by the name of its table, so every table must be known
# before the first query, and every notice before the first message.

import models.base.audit
import models.booking.appointments
import models.booking.blocks
import models.booking.changes
import models.booking.holds
import models.booking.imports.uploads
import models.booking.links
import models.booking.occupancies
import models.booking.published
import models.booking.resources
import models.booking.services
import models.calls.calls
import models.calls.syncs
import models.clinics.allowances
import models.clinics.attacks
import models.clinics.calendar_feeds
import models.clinics.calendars
import models.clinics.contacts
import models.clinics.organizations
import models.clinics.patient_notes
import models.clinics.sign_in_limits
import models.clinics.signed_requests
import models.clinics.staff
import models.clinics.staff_sessions
import models.clinics.sweeps
import models.leads.leads
import models.messaging.events
import models.messaging.messages
import models.messaging.opt_outs
import models.messaging.senders
import models.notices.kinds
