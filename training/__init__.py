"""Reads tables and traces, trains and evaluates models; never touches a live GPU."""
