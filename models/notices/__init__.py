"""Every kind of message: what it says, how it is sent and shown, and how a person has it sent again."""
