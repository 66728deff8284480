"""What the algorithms are made of: features, networks, learners, rewards, the two loops."""
