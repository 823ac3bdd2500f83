"""The `medlstm` command: a thin caller of the flows.

In: arguments. Out: a short summary for a person or, with --json, one JSON object; an exit status.
Begin with app.py; lake.py has the commands that only look, summaries.py what is printed.
"""
