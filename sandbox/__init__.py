"""Stand-ins for the outside world on one machine: servers, a Twilio, a Vapi, and their start."""
