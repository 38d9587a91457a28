"""What stands in for the outside world on one machine: servers, a Twilio, a Vapi, and what starts them."""
