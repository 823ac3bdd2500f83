"""The core of medlstm: pure functions over paths, Arrow tables, frames and tensors. It never imports Prefect."""
