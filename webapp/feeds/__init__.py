"""What other programs read from a clinic with a link in place of a credential: its published calendars."""
