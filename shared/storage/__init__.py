"""State and transport: the only package that knows azure-data-tables and azure-storage-queue."""
