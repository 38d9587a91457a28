"""Every route there is, and where the ids of some clinic could stand in it."""

from __future__ import annotations

from webapp.agents.tools import TOOLS

WEBHOOK = "/api/vapi/webhook"
RECEIPT = "/api/twilio/status/<uuid:message_id>/<int:attempt>/<token>"

INBOUND = "/api/twilio/inbound/<uuid:org_id>"
PATIENT_PAGES = ("/a/<token>", "/a/<token>/cancel", "/a/<token>/move")

#: Every route there is, and where the ids of some clinic could stand in it.
ROUTES: dict[str, tuple[str, ...]] = {
    **{
        f"/api/vapi/tools/{tool.path}": (
            *(
                name
                for name in tool.arguments().fields
                if name.endswith("Id") or name in ("service", "person")
            ),
            "call.id",
            "toolCall.id",
        )
        for tool in TOOLS
    },
    WEBHOOK: ("call.id", "toolCall.id"),
    RECEIPT: ("message_id",),
    INBOUND: ("org_id",),
    **dict.fromkeys(PATIENT_PAGES, ("token",)),
    # tests/webapp/feeds tries ids and other clinics' links with it.
    "/calendar/<path:name>": ("name",),
    # No one clinic's data is behind these: they take no id and no body.
    "/metrics": (),
    "/": (),
    "/healthz": (),
    "/readyz": (),
    "/openapi.json": (),
    "/static/<path:filename>": (),
    "/docs": (),
    # Whose it is comes from the session; tests/webapp/staff tries another clinic's ids with it.
    "/dashboard": (),
    **{
        f"/dashboard/{page}": ()
        for page in (
            *("sign-in", "sign-out", "live", "live/state", "live/stream", "leads", "calls", "messages"),
            *("sign-in/code", "account", "account/second-factor", "account/second-factor/confirm"),
            *(
                "account/second-factor/off",
                "reports",
                "leads.csv",
                "lead-record.csv",
                "calls.csv",
                "messages.csv",
                "reports.csv",
            ),
        )
    },
    **dict.fromkeys(
        (
            f"/dashboard/settings{page}"
            for page in (
                *("", "/standing", "/people", "/services", "/phone", "/closures"),
                *("/closures/holidays", "/importing/file/forget"),
                *("/calendars", "/importing", "/clinic", "/team"),
            )
        ),
        (),
    ),
    "/dashboard/settings/closures/new": ("for", "room", "back"),
    "/dashboard/settings/closures/take-back": ("id", "back"),
    **dict.fromkeys(
        (
            f"/dashboard/settings/people/<path:resource_id>{page}"
            for page in ("", "/hours", "/services", "/retire")
        ),
        ("resource_id", "service", "room"),
    ),
    **dict.fromkeys(
        (f"/dashboard/settings{page}" for page in ("/services/add", "/phone/add", "/phone/first")), ()
    ),
    "/dashboard/settings/services/order": ("service",),
    "/dashboard/settings/service/<path:service_id>": ("service_id",),
    "/dashboard/settings/service/<path:service_id>/retire": ("service_id",),
    "/dashboard/settings/calendar/<path:calendar_id>": ("calendar_id",),
    "/dashboard/settings/calendars/published": ("who",),
    **dict.fromkeys(
        (
            f"/dashboard/settings/calendars/published/<uuid:calendar_id>/{verb}"
            for verb in ("renew", "revoke")
        ),
        ("calendar_id",),
    ),
    "/dashboard/settings/record": (),
    "/dashboard/settings/team/add": (),
    **dict.fromkeys(
        (
            f"/dashboard/settings/team/<uuid:staff_id>{page}"
            for page in (
                *("", "/role", "/disable", "/enable", "/link"),
                *("/sessions/end", "/second-factor/reset"),
            )
        ),
        ("staff_id",),
    ),
    "/dashboard/invitation/<token>": ("token",),
    "/dashboard/settings/importing/file": ("upload",),
    "/dashboard/settings/importing/file/import": ("upload",),
    "/dashboard/account/sessions/<uuid:session_id>/end": ("session_id",),
    "/dashboard/leads/<path:call_id>": ("call_id",),
    "/dashboard/leads/<path:call_id>/called-back": ("call_id",),
    "/dashboard/leads/<path:call_id>/worth-the-call": ("call_id",),
    "/dashboard/messages/<uuid:message_id>/retry": ("message_id",),
    "/dashboard/holds/<uuid:hold_id>/give-back": ("hold_id",),
    "/dashboard/holds/give-back": ("caller", "credential"),
    "/dashboard/diary": ("who",),
    "/dashboard/diary/entries": ("who",),
    "/dashboard/diary/new": ("service", "person"),
    "/dashboard/diary/new/patient": ("service", "person"),
    "/dashboard/diary/block": ("who",),
    "/dashboard/patients": (),
    "/dashboard/patients/<uuid:contact_id>": ("contact_id",),
    "/dashboard/patients/<uuid:contact_id>.json": ("contact_id",),
    "/dashboard/patients/<uuid:contact_id>/erase": ("contact_id",),
    "/dashboard/patients/<uuid:contact_id>/notes": ("contact_id",),
    "/dashboard/diary/blocks/<uuid:block_id>": ("block_id",),
    "/dashboard/diary/blocks/<uuid:block_id>/remove": ("block_id",),
    **{
        f"/dashboard/settings/calendars/feeds/<uuid:feed_id>/{deed}": ("feed_id",)
        for deed in ("read", "change", "turn", "remove")
    },
    "/dashboard/settings/calendars/feeds": (),
    "/dashboard/settings/calendars/feed-limit": (),
    **dict.fromkeys(
        (
            f"/dashboard/diary/appointments/<uuid:appointment_id>{page}"
            for page in ("", "/note", "/cancel", "/move")
        ),
        ("appointment_id",),
    ),
}
