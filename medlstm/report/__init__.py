"""What a person looks at: one self-contained page a night, aggregates only.

In: the lake and the registry, as the night knows them. Out: `reports/D/index.html`, plots beside it.
Begin with `gather_report` in gather.py, content.py, and `render_report` in page.py.
"""
