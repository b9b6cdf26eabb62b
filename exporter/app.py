"""Opens every edge and runs every task; the only file that knows everyone."""
