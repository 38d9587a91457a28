"""The desk books by hand: patients who arrived, appointments beside another, and people who may only look.

Old code runs on this schema: it writes nothing of what is new. It cannot read the two new words, so that
nobody should note an arrival or add somebody who may only look before its last process is replaced.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0028_desk"
down_revision = "0027_diary"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"
STATUSES = ("confirmed", "cancelled", "completed", "no_show")


def upgrade() -> None:
    _statuses(*STATUSES, "arrived")
    _roles("owner", "staff", "read_only")
    op.add_column("appointments", sa.Column("overruled", sa.Text(), nullable=True))
    op.create_check_constraint(
        op.f("ck_appointments_overruled"),
        "appointments",
        r"(seat > 0) = (overruled IS NOT NULL) AND overruled ~ '\S'",
    )
    op.drop_constraint(op.f("ck_occupancies_seat"), "occupancies")
    op.create_check_constraint(op.f("ck_occupancies_seat"), "occupancies", "seat >= 0")
    op.create_check_constraint(op.f("ck_appointment_holds_seat"), "appointment_holds", "seat = 0")
    _read("book_by_hand_v1", "move_appointment_v5", "clear_time_v3")


def downgrade() -> None:
    """An arrived patient was seen, and whoever may only look has no access any more.

    An appointment beside another has no time in the older schema and is cancelled, of which no SMS is sent:
    list them before (seat > 0), and ring these patients.
    """
    op.execute("DROP FUNCTION book_by_hand")
    _read("move_appointment_v4", "clear_time_v2")
    # In one statement: a row that is changed twice in a transaction leaves a check of its confirmation for
    # the commit, and no table with one can be altered.
    op.execute(
        "UPDATE appointments SET status = CASE WHEN seat > 0 THEN 'cancelled' ELSE 'completed' END,"
        " seat = 0, overruled = NULL WHERE status = 'arrived' OR seat > 0"
    )
    op.drop_constraint(op.f("ck_appointment_holds_seat"), "appointment_holds")
    op.drop_constraint(op.f("ck_occupancies_seat"), "occupancies")
    op.create_check_constraint(op.f("ck_occupancies_seat"), "occupancies", "seat = 0")
    op.drop_constraint(op.f("ck_appointments_overruled"), "appointments")
    op.drop_column("appointments", "overruled")
    _statuses(*STATUSES)
    op.execute("UPDATE staff_users SET disabled_at = now() WHERE role = 'read_only' AND disabled_at IS NULL")
    op.execute("UPDATE staff_users SET role = 'staff' WHERE role = 'read_only'")
    _roles("owner", "staff")


def _read(*names: str) -> None:
    for name in names:
        op.execute(
            (SQL / f"{name}.sql")
            .read_text()
            .replace("CREATE FUNCTION move", "CREATE OR REPLACE FUNCTION move")
        )


def _roles(*names: str) -> None:
    op.drop_constraint(op.f("ck_staff_users_role"), "staff_users")
    values = ", ".join(f"'{name}'" for name in names)
    op.create_check_constraint(op.f("ck_staff_users_role"), "staff_users", f"role IN ({values})")


def _statuses(*names: str) -> None:
    op.drop_constraint(op.f("ck_appointments_status"), "appointments")
    values = ", ".join(f"'{name}'" for name in names)
    op.create_check_constraint(op.f("ck_appointments_status"), "appointments", f"status IN ({values})")
