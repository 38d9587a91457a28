"""/metrics for Prometheus: figures of all clinics, read from the rows at each request.

They are not counters of a process, since there are several processes, they restart, and the rows hold
everything anyway. Only attacks leave no rows of their own: each process adds those that it saw to rows of
counts (webapp/attacks.py).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from flask import Blueprint, Response, abort, request
from sqlalchemy import text
from sqlalchemy.orm import Session

import settings
from models.base.session import Door
from models.clinics.attacks import Kind
from models.insight import clinic_limits
from webapp import attacks
from webapp.unit_of_work import Busy, DatabaseAway, in_system_transaction

if TYPE_CHECKING:
    from prometheus_client.core import Metric

blueprint = Blueprint("metrics", __name__)

#: The source of a figure: an SQL query or a function, whose rows have the labels and then the value.
Rows = str | Callable[[Session], Iterable[tuple[str, str, float]]]

#: name, help, labels, rows.
GAUGES: tuple[tuple[str, str, tuple[str, ...], Rows], ...] = (
    (
        "holdline_sms_messages",
        "SMS of the last 24 hours by kind and state; superseded: another one says it, or something newer",
        ("kind", "status"),
        (
            # A superseded message is expired, too, but nothing went wrong with it.
            "SELECT kind, CASE WHEN status = 'expired'"
            "  AND cause IN ('a later message says something else', 'another alert tells of it, too')"
            "  THEN 'superseded' ELSE status END, count(*) FROM sms_messages"
            " WHERE created_at > app_clock() - interval '24 hours' GROUP BY 1, 2"
        ),
    ),
    (
        "holdline_sms_trouble",
        "SMS that somebody should look at: late, held, sent_twice, or the state that they are stuck in",
        ("org", "trouble"),
        (
            "SELECT org_id::text, trouble, count(*) FROM sms_trouble"
            # An unknown message waits for a person, however old it is.
            " WHERE created_at > app_clock() - interval '7 days' OR trouble = 'unknown'"
            " GROUP BY org_id, trouble"
        ),
    ),
    (
        "holdline_sms_oldest_waiting_seconds",
        "age of the oldest SMS that still waits to be handed over",
        ("kind",),
        (
            "SELECT kind, extract(epoch FROM app_clock() - min(created_at)) FROM sms_messages"
            " WHERE status IN ('queued', 'sending') GROUP BY kind"
        ),
    ),
    (
        "holdline_sms_handover_seconds",
        "time from commit to the provider's acceptance in the last hour, by quantile",
        ("kind", "quantile"),
        (
            "SELECT kind, q::text,"
            " percentile_cont(q) WITHIN GROUP (ORDER BY extract(epoch FROM sent_at - created_at))"
            " FROM sms_messages, unnest(ARRAY[0.5, 0.99]::float8[]) AS q"
            " WHERE sent_at > app_clock() - interval '1 hour' GROUP BY kind, q"
        ),
    ),
    (
        "holdline_provider_seconds",
        "time that the provider took to answer in the last hour, by quantile",
        ("kind", "quantile"),
        (
            "SELECT m.kind, q::text,"
            " percentile_cont(q) WITHIN GROUP (ORDER BY extract(epoch FROM answer.created_at - e.created_at))"
            "  FROM sms_messages m JOIN sms_events e ON e.message_id = m.id AND e.to_status = 'sending',"
            "  LATERAL (SELECT created_at FROM sms_events n WHERE n.message_id = e.message_id"
            "            AND n.from_status = 'sending' AND n.id > e.id ORDER BY n.id LIMIT 1) AS answer,"
            "  unnest(ARRAY[0.5, 0.99]::float8[]) AS q"
            " WHERE m.created_at > app_clock() - interval '1 hour' GROUP BY m.kind, q"
        ),
    ),
    (
        "holdline_receipt_seconds",
        "time from the provider's acceptance to its receipt of delivery in the last hour, by quantile",
        ("quantile",),
        (
            "SELECT q::text,"
            " percentile_cont(q) WITHIN GROUP (ORDER BY extract(epoch FROM delivered_at - sent_at))"
            " FROM sms_messages, unnest(ARRAY[0.5, 0.99]::float8[]) AS q"
            " WHERE delivered_at > app_clock() - interval '1 hour' AND sent_at IS NOT NULL GROUP BY q"
        ),
    ),
    (
        "holdline_webhook_lag_seconds",
        "time from the end of a call to its report in the last hour, by quantile",
        ("quantile",),
        (
            "SELECT q::text,"
            " percentile_cont(q) WITHIN GROUP"
            " (ORDER BY greatest(0, extract(epoch FROM reported_at - ended_at)))"
            " FROM calls, unnest(ARRAY[0.5, 0.99]::float8[]) AS q"
            " WHERE reported_at > app_clock() - interval '1 hour' AND ended_at IS NOT NULL GROUP BY q"
        ),
    ),
    (
        "holdline_calls",
        "calls of the last 24 hours by state and band of their score",
        ("status", "band"),
        (
            "SELECT status, coalesce(lead_band, ''), count(*) FROM calls"
            " WHERE created_at > app_clock() - interval '24 hours' GROUP BY 1, 2"
        ),
    ),
    (
        "holdline_calls_oldest_unscored_seconds",
        "how long the oldest call that is due to be scored has waited for it",
        (),
        (
            "SELECT extract(epoch FROM app_clock() - min(score_due_at)) FROM calls"
            " WHERE score_due_at < app_clock() HAVING count(*) > 0"
        ),
    ),
    (
        "holdline_hot_lead_alerts",
        "hot leads of the last 24 hours by what became of the owner's SMS",
        ("outcome",),
        (
            "SELECT CASE WHEN alert_sent_at IS NOT NULL THEN 'sent' WHEN suppressed_reason IS NOT NULL"
            " THEN 'suppressed' ELSE 'waiting' END, count(*) FROM hot_lead_alerts"
            " WHERE created_at > app_clock() - interval '24 hours' GROUP BY 1"
        ),
    ),
    (
        "holdline_sender_stopped",
        "1 while the provider refuses a clinic's sender",
        ("org", "code"),
        "SELECT org_id::text, coalesce(stopped_code, ''), 1 FROM sms_senders WHERE stopped_at IS NOT NULL",
    ),
    (
        "holdline_limit_used",
        "how much of what a clinic may use is used at this moment, from 0 to 1, where it is any",
        ("org", "limit"),
        clinic_limits.of_every_clinic,
    ),
    (
        "holdline_holds",
        "holds made in the last 24 hours by what became of them",
        ("status",),
        (
            "SELECT status, count(*) FROM appointment_holds"
            " WHERE created_at > app_clock() - interval '24 hours' GROUP BY status"
        ),
    ),
    (
        "holdline_appointment_changes",
        "appointments moved and cancelled in the last 24 hours",
        ("change",),
        (
            "SELECT change, count(*) FROM appointment_changes"
            " WHERE created_at > app_clock() - interval '24 hours' GROUP BY change"
        ),
    ),
    (
        "holdline_code_tries",
        "codes that were said in the last 24 hours: right ones and wrong ones",
        ("outcome",),
        (
            "SELECT o.outcome, sum(CASE o.outcome WHEN 'right' THEN (h.status = 'confirmed')::int"
            "   ELSE h.code_tries - (h.status = 'confirmed')::int END)"
            "  FROM appointment_holds h, (VALUES ('right'), ('wrong')) AS o (outcome)"
            " WHERE h.created_at > app_clock() - interval '24 hours' GROUP BY o.outcome"
        ),
    ),
    (
        "holdline_sweep_age_seconds",
        "how long ago each task that comes round again last ended well",
        ("task",),
        ("SELECT task, extract(epoch FROM app_clock() - done_at) FROM sweeps WHERE done_at IS NOT NULL"),
    ),
    (
        "holdline_beat_age_seconds",
        "how long ago a tick of beat's last reached a worker",
        (),
        "SELECT extract(epoch FROM app_clock() - max(beat_at)) FROM sweeps HAVING max(beat_at) IS NOT NULL",
    ),
    (
        "holdline_lock_waits",
        "database sessions that wait for a lock right now",
        (),
        (
            # Not pg_stat_activity, which does not show one role what another role's sessions wait for.
            "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted AND (database IS NULL OR database"
            " = (SELECT oid FROM pg_database WHERE datname = current_database()))"
        ),
    ),
)


#: In the same form. These figures only grow, so that Prometheus can tell how many came in any period.
COUNTERS: tuple[tuple[str, str, tuple[str, ...], Rows], ...] = (
    (
        "holdline_attacks_total",
        "tries of those who have no business there, and what was refused to who asks too much, by kind",
        ("kind",),
        (
            # A kind without attacks is 0 and not missing, or its first attacks would not be an increase.
            "SELECT k.kind, coalesce(a.total, 0)"
            f" FROM unnest(ARRAY{[kind.value for kind in Kind]}) AS k (kind)"
            " LEFT JOIN attack_counts a ON a.kind = k.kind"
        ),
    ),
)


class _Rows:
    """The collector for prometheus_client, which is imported late: few processes are asked for figures."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415

        for figures, family_of in ((GAUGES, GaugeMetricFamily), (COUNTERS, CounterMetricFamily)):
            for name, meaning, labels, asked in figures:
                family = family_of(name, meaning, labels=labels)
                rows = self._session.execute(text(asked)) if isinstance(asked, str) else asked(self._session)
                for *values, figure in rows:
                    family.add_metric([str(value) for value in values], float(figure))
                yield family


@blueprint.get("/metrics")
def metrics() -> Response:
    """404 unless the bearer token METRICS_TOKEN is given; in development it is open."""
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0  # noqa: PLC0415

    if not _allowed():
        attacks.count(Kind.WRONG_CREDENTIAL)
        abort(404)
    attacks.flush()  # what other processes counted in the last seconds comes with the next request
    try:
        page = in_system_transaction(Door.METRICS, _page)
    except (Busy, DatabaseAway):
        return Response("the database is away\n", status=503, mimetype="text/plain")
    return Response(page, content_type=CONTENT_TYPE_PLAIN_1_0_0)


def _page(session: Session) -> bytes:
    from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415

    registry = CollectorRegistry()
    registry.register(_Rows(session))
    return generate_latest(registry)


def _allowed() -> bool:
    config = settings.get()
    if not config.metrics_token:
        return config.development
    given = request.headers.get("Authorization", "")
    return hmac.compare_digest(given.encode(), f"Bearer {config.metrics_token}".encode())
