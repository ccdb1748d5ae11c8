"""The soak: minutes of mixed load while everything that can fail does, and then not one account may be wrong."""
