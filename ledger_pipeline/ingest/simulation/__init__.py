"""The parts of the traffic simulator: what runs (data), how one execution goes, and when executions start."""
