"""What hashwarden knows: features, networks, calibration, verdict rules, artifacts."""
