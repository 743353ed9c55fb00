"""The front door: the console command ``seedstream``."""
