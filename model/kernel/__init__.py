"""The kernel model: one kernel mix in, the probability of hash work and of each family out."""
