"""One replication: its settings, its queue, the bucket it writes to, its worker."""
