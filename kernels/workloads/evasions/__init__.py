"""Evasions: ways to run a workload so that it is less easily noticed, each a wrapper over any workload."""
