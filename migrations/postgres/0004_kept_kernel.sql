-- The kernel of a failed run while it is kept for a person to attach to, as JSON.
ALTER TABLE executions ADD COLUMN kept_kernel TEXT;
