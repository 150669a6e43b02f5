"""The seeded scenarios: three workflow executions to look at, with everything that belongs to them."""
