-- A thousand that run, a hundred thousand that wait, and a hundred thousand that have ended.
INSERT INTO executions (status, notebook_path, output_path, username, request, submitted_at, start_time, attempts, lease_owner, lease_expires_at)
SELECT 'running', 'a.ipynb', 'running-' || n || '.ipynb', 'ann', repeat('x', 300), 0, 0, 1, 'worker-' || n % 1000, 0 FROM generate_series(1, 1000) n;
INSERT INTO executions (status, notebook_path, output_path, username, request, submitted_at, start_time, end_time, attempts)
SELECT 'success', 'a.ipynb', 'ended-' || n || '.ipynb', 'ann', repeat('x', 300), 0, 0, 0, 1 FROM generate_series(1, 100000) n;
ALTER TABLE executions DISABLE TRIGGER executions_submitted;
INSERT INTO executions (status, notebook_path, output_path, username, request, submitted_at)
SELECT 'pending', 'a.ipynb', 'pending-' || n || '.ipynb', 'ann', repeat('x', 300), 0 FROM generate_series(1, 100000) n;
ALTER TABLE executions ENABLE TRIGGER executions_submitted;
VACUUM ANALYZE executions;
