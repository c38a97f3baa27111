"""`python -m embedsearch` is the command `embedsearch`."""

from embedsearch.cli import main

if __name__ == "__main__":
    main()
