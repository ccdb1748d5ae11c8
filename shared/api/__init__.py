"""The HTTP API: decode, call one service, encode. `application.build_api` puts it together."""
