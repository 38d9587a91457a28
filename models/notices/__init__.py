"""Every kind of SMS: what it says, how it is sent and shown, and how a person has one sent again."""
