"""What every process needs around its work: logs, masking, traces, addresses, and checks at its start."""
