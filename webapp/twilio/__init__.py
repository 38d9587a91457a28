"""What Twilio sends: receipts, and the SMS of patients."""
