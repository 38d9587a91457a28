"""What the staff see of the other rooms' data, and how long it is kept."""
