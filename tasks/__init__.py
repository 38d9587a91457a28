"""Work that is done later: thin Celery tasks over models/. They take ids, and return nothing."""
