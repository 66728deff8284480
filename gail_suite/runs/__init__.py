"""What a run leaves behind: settings, logs, checkpoints, versions."""
