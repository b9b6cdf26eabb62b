"""The running program: what runs by the config in force, reload, storage, diagnostics."""
