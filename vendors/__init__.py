"""What webapp and tasks both need to know about a vendor, so that neither imports the other: tables in the
domain's words.
"""
