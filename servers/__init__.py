"""One door to each server: how every process opens Kafka and Redis, and what their errors mean."""
