"""Speed, memory and accuracy, one command each: `python benchmarks/NAME.py`, `python -m benchmarks.NAME` or
`make bench-NAME ARGS="…"`. With `--json FILE` each writes its results as one JSON object."""
