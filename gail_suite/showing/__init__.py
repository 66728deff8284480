"""What a policy does: evaluation, statistics, video, windows, reports, comparisons."""
