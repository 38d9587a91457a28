"""How likely a call becomes a patient, and who is told of it."""
