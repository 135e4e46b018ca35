"""/metrics: what is scraped, from SQL, Redis and this machine, in the format of Prometheus."""
