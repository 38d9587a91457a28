"""What Vapi sends and what it gets back."""
