\set id random(1, 1000)
\set place random(1, 2000000000)
WITH held AS (SELECT id, attempts FROM executions WHERE id = :id AND status = 'running' AND attempts = 1 FOR SHARE) INSERT INTO execution_events (execution_id, attempt, start_offset, end_offset, lines) SELECT id, attempts, :place, :place + 2000, convert_to(repeat('outputs ', 250), 'UTF8') FROM held ON CONFLICT (execution_id, attempt, start_offset) DO UPDATE SET end_offset = excluded.end_offset, lines = excluded.lines;
