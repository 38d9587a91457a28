"""How likely a caller is to become a patient, and the alert to the clinic's owner."""
