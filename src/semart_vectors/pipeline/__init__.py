"""One run of a job: what is pending is found, read ahead, paid for once, embedded, and recorded."""
