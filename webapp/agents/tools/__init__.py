"""The five tools, by name and by path. One file a tool."""

from __future__ import annotations

from webapp.agents.desk import Tool
from webapp.agents.tools import (
    check_availability,
    reserve_atomic,
    send_confirmation_sms,
    send_otp_code,
    verify_otp,
)

TOOLS: tuple[Tool, ...] = (
    check_availability.TOOL,
    reserve_atomic.TOOL,
    send_otp_code.TOOL,
    verify_otp.TOOL,
    send_confirmation_sms.TOOL,
)
BY_NAME = {tool.name: tool for tool in TOOLS}
