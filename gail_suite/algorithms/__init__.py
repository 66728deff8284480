"""One trainer a file: behaviour cloning, GAIL, AIRL, experts."""
