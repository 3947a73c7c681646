"""Run folders as they grow, read from another process; nothing here imports torch or writes."""
