"""An embedded server with ReductStore's HTTP API, for demos, notebooks and tests."""
