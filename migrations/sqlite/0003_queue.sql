-- Which of the pending ones is next, how often one may be begun, and until when it may wait (microseconds).
ALTER TABLE executions ADD COLUMN priority BIGINT NOT NULL DEFAULT 0;
ALTER TABLE executions ADD COLUMN max_attempts BIGINT NOT NULL DEFAULT 1;
ALTER TABLE executions ADD COLUMN queue_deadline BIGINT;
-- 1: it has ended, but its notebook could not be saved yet.
ALTER TABLE executions ADD COLUMN undelivered BIGINT NOT NULL DEFAULT 0;
UPDATE executions SET undelivered = 1
    WHERE status = 'failed' AND (error LIKE '%"NotebookNotSaved"%' OR error LIKE '%is in its journal:%');

DROP INDEX executions_pending;
CREATE INDEX executions_pending ON executions (priority DESC, id) WHERE status = 'pending';
CREATE INDEX executions_overdue ON executions (queue_deadline) WHERE status = 'pending' AND queue_deadline IS NOT NULL;
