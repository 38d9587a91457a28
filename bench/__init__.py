"""The measurements: what Holdline costs, as ratios to floors that are measured in the same run."""
