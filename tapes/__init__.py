"""The roof: command line, configuration, importers and rendering."""
