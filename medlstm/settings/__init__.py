"""What a hospital decides: its medlstm.toml, checked as a whole before anything runs.

In: medlstm.toml and the MEDLSTM_ variables of the environment.
Out: one frozen `Config`, which every other room is given; a wrong key is a ConfigError that says what would be right.
Begin with `Config` in workspace.py; source.py has what a source may be told, examples/ what `medlstm init` writes.
"""
