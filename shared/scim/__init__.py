"""The target: a vendor's SCIM 2.0 server (RFC 7643, RFC 7644), spoken to with plain dicts over httpx."""
