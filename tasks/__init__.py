"""One thin Prefect task per step of the night; the work is done by the medlstm core."""
