"""How likely a caller is to become a patient, and who is told of it."""
