"""Every SMS: its row and its states, when it may go, who sends it, and what became of it."""
