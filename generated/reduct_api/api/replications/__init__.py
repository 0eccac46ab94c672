"""One module per operation, named by its operationId."""
