"""The dashboard: one page of static files. It holds no data: what it shows comes from the API, with a key."""
