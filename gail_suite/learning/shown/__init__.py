"""What was shown, as a learner sees it: features, pairs, actions that were found, and how like it a policy behaves."""
