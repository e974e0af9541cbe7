"""What the command line does, as functions: `tasearch` names them; the command line stands on the same ones."""
