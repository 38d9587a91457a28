"""What every other package uses: sessions, tables, telephone numbers, times, sealed values, the audit log."""
