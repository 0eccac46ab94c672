"""What both flavours share: decisions, codecs and checks. Performs no I/O; not public API."""
