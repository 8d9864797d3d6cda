BEGIN;
SELECT pg_advisory_xact_lock(7);
UPDATE executions SET status = 'running', lease_owner = 'me', lease_expires_at = 0, start_time = 0, attempts = attempts + 1, cells_done = 0, code_cells_done = 0, current_cell = NULL WHERE id = (SELECT id FROM executions WHERE status = 'pending' AND (SELECT count(*) FROM executions WHERE status = 'running') < 1000000000 AND (username IS NULL OR username NOT IN (SELECT username FROM executions WHERE status = 'running' AND username IS NOT NULL GROUP BY username HAVING count(*) >= 1000000000)) ORDER BY priority DESC, id LIMIT 1 FOR UPDATE SKIP LOCKED) AND status = 'pending' RETURNING id, attempts, max_attempts;
COMMIT;
