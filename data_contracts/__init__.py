"""The Great Expectations suites of the lake, one JSON file a table, read with importlib.resources."""
