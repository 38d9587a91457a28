"""What Twilio tells us."""
