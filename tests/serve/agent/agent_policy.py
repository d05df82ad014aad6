"""The policy of most tests of the agent: miners are warned, and ended a minute later, and nobody is asked."""

ENFORCE = """
mode = "enforce"
[[rules]]
name = "miners"
first_warning_minutes = 0.2
cancel_minutes = 1
action = "cancel"
require_approval = []
act_if_warning_refused = true
"""
