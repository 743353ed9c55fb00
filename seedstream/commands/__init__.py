"""One module per subcommand; each imports its package only when it is called."""
