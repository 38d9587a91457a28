"""What each kind of SMS says, and how a person has one sent again."""
