"""What fitted models are for: tasks by name, pictures, models that are ready."""
