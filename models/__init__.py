"""The domain: what a clinic decides. Tables, rules and queries; no web framework and no provider."""

# A foreign key is resolved by its table's name, so every table must be known before the first query.
from models import (  # noqa: F401
    allowances,
    appointment_changes,
    appointments,
    attacks,
    audit,
    calendars,
    calls,
    contacts,
    holds,
    leads,
    occupancies,
    opt_outs,
    organizations,
    patient_links,
    sign_in_limits,
    signed_requests,
    sms,
    sms_events,
    sms_senders,
    staff,
    staff_sessions,
    sweeps,
    vapi_syncs,
)
