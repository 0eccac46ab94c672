"""The plugin that pytest loads; it imports nothing until a fixture is used."""
