"""Do the access patterns of memory tell the families of workloads apart? A table, a study, a figure."""
