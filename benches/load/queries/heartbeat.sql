\set id random(1, 1000)
UPDATE executions SET lease_expires_at = lease_expires_at + 1 WHERE id = :id AND status = 'running' AND lease_owner = 'worker-' || :id % 1000 AND attempts = 1 RETURNING cancel_requested;
