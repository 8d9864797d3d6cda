-- For what is pruned.
CREATE INDEX executions_ended ON executions (end_time) WHERE end_time IS NOT NULL;
