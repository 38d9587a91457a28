"""What every room stands on: sessions, tables, telephone numbers, times, sealed values, the audit log."""
