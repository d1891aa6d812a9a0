"""What commands share: options, progress, files, exit codes."""
