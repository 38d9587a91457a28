"""The domain: what a clinic decides. Tables, rules and queries; no web framework and no provider."""

# ruff: noqa: F401 -- A foreign key is resolved by its table's name, so every table must be known before the
# first query.

import models.allowances
import models.appointment_changes
import models.appointments
import models.attacks
import models.base.audit
import models.calendars
import models.calls
import models.contacts
import models.holds
import models.leads
import models.occupancies
import models.opt_outs
import models.organizations
import models.patient_links
import models.sign_in_limits
import models.signed_requests
import models.sms
import models.sms_events
import models.sms_senders
import models.staff
import models.staff_sessions
import models.sweeps
import models.vapi_syncs
