"""What a study found, for a terminal, a program and a browser; it reads and never writes a study."""
