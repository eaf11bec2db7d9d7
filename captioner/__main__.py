"""`python -m captioner` is the `captioner` command."""

from captioner.pipelines.cli import main

if __name__ == "__main__":
    main()
