"""What every model is: fit, sample, log_prob, typicality, save and load."""
