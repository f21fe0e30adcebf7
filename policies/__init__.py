"""Who the agent is and what it decides: personas, situations, judges, the pure policy, strategies."""
