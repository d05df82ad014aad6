"""Traces where none was recorded: machine code and a roofline, schedules in time, sensors with their faults."""
