"""The door of the shell: one file a command; a command parses, calls one function, prints."""
