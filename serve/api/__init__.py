"""The scoring service: the Open Inference Protocol for both models, and the job API; never imports torch."""
