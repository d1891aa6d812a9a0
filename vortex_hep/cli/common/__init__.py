"""Shared parts of all commands: options, progress, files, exit codes."""
