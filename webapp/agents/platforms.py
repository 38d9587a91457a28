"""The voice platforms that may ask. A new one is an adapter in a package of its own, and one line here."""

from __future__ import annotations

from webapp.agents.platform import Platform
from webapp.agents.vapi import routes as vapi

PLATFORMS: list[Platform] = [vapi.PLATFORM]
