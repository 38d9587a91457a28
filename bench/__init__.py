"""The measurements: Holdline's cost, as ratios to floors that are measured in the same run."""
