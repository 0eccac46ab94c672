"""One package per tag of the document, one module per operation."""
