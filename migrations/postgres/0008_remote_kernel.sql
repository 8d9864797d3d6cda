-- The kernel behind a gateway that runs an execution, as another worker needs to know it to go on, as JSON. It stays until
-- the kernel has ended.
ALTER TABLE executions ADD COLUMN remote_kernel TEXT;
