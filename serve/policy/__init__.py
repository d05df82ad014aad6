"""What is to be done about a verdict: rules, cases, approvals, quotas."""
