"""Requests and models of the ReductStore HTTP API, generated from openapi.yaml; do not edit."""
