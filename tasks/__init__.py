"""What happens later: thin Celery tasks over models/. They take ids, and return nothing."""
