"""The pages behind the link in a confirmation: see, move or cancel one appointment, from a telephone."""
