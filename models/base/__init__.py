"""What every room uses: sessions, tables, telephone numbers, times, sealed values, the audit log."""
