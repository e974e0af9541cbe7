"""`python -m tasearch`."""

from tasearch.cli.main import run

if __name__ == "__main__":
    run()
