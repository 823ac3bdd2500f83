"""Small made-up data sets in published layouts: column names as published, and what is right of them, told apart.

Each module has `write(folder)`, or what fills a database, and `STAYS`, `OBSERVATIONS`: what must be admitted.
"""
