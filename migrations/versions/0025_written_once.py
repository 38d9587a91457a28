"""One SQL function each for what was written twice: a time cleared of expired holds, lock keys, a live hold.

Old code runs on this schema: the functions that it calls keep their signatures and answers, and each lock has
the key that it had, so that two releases side by side wait for each other.
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0025_written_once"
down_revision = "0024_notices"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"
NEW = (
    "call_lock_key",
    "codes_of_call_lock_key",
    "codes_of_phone_lock_key",
    "phone_lock_key",
    "unproved_holds_lock_key",
    "provider_id_lock_key",
    "hold_is_live",
    "clear_time",
)


def _read(*names: str) -> None:
    for name in names:
        op.execute((SQL / f"{name}.sql").read_text())


def upgrade() -> None:
    _read("lock_keys_v1", "hold_is_live_v1", "clear_time_v1")
    _read("claim_slot_atomic_v3", "move_appointment_v3", "begin_tool_call_v2", "make_room_for_hold_v2")


def downgrade() -> None:
    _read("claim_slot_atomic_v2", "move_appointment_v2", "begin_tool_call_v1", "make_room_for_hold_v1")
    for name in NEW:
        op.execute(f"DROP FUNCTION {name}")
