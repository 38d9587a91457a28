"""The adapter for Vapi: its requests, its events and its assistants."""
