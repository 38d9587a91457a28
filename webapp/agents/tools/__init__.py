"""The tools by name, in the order in which a call uses them. One file a tool, and one line here."""

from __future__ import annotations

from collections.abc import Collection

from webapp.agents.tool import Tool
from webapp.agents.tools import (
    check_availability,
    reserve_atomic,
    send_confirmation_sms,
    send_otp_code,
    verify_otp,
)

BY_NAME: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        check_availability.TOOL,
        reserve_atomic.TOOL,
        send_otp_code.TOOL,
        verify_otp.TOOL,
        send_confirmation_sms.TOOL,
    )
}

#: The same tools; a view, so that it always shows what BY_NAME has.
TOOLS: Collection[Tool] = BY_NAME.values()
