"""hashwarden scan: targets in, verdicts out."""
