"""The routes of the clinic's team and of the record of changes, and the ids that they take."""

from __future__ import annotations

TEAM: dict[str, tuple[str, ...]] = {
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
}
