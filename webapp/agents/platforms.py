"""The supported voice platforms. A new one is an adapter in its own package, and one line here."""

from __future__ import annotations

from webapp.agents.platform import Platform
from webapp.agents.vapi import routes as vapi

PLATFORMS: list[Platform] = [vapi.PLATFORM]
