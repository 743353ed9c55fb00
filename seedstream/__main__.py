"""``python -m seedstream`` is the console command ``seedstream``."""

from seedstream.cli import main

if __name__ == "__main__":
    main()
