"""The machinery of a job: what is pending, what is paid for already, and outcomes into the checkpoint."""
