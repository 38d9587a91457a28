"""Pages for operators and developers: health, metrics, and the description of the API."""
