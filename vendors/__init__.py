"""What both adapters know of a vendor, so that neither imports the other: tables in the domain's words."""
