"""Samples that others push, on their way to the agent that judges them: bounded, in order, kept until they count."""
