"""What the staff see of all the rest, and how long it is kept."""
