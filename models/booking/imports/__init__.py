"""Bringing an existing diary in: reading a file, matching its names, the dry run, and the import itself.

`reading` and what it uses know the file alone, no database; `matching` knows the clinic's names besides;
`judging` says what would become of each row, and `putting` does it in one transaction.
"""
