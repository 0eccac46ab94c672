"""The endpoints of the HTTP API, a module per group; each has `routes()`."""
