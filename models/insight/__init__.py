"""What people of a clinic see of all the rest, and for how long it is kept."""
