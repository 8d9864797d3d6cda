-- Times are microseconds since 1970-01-01 UTC. JSON columns hold text.

CREATE TABLE executions (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    status           TEXT NOT NULL CHECK (status IN ('pending', 'running', 'success', 'failed', 'cancelled')),
    notebook_path    TEXT NOT NULL,
    output_path      TEXT NOT NULL,
    username         TEXT,
    request          TEXT NOT NULL,
    submitted_at     BIGINT NOT NULL,
    start_time       BIGINT,
    end_time         BIGINT,
    cells_done       BIGINT NOT NULL DEFAULT 0,
    cells_total      BIGINT NOT NULL DEFAULT 0,
    current_cell     BIGINT,
    code_cells_done  BIGINT NOT NULL DEFAULT 0,
    error            TEXT,
    mlflow           TEXT,
    warnings         TEXT NOT NULL DEFAULT '[]',
    kernel_used      TEXT,
    attempts         BIGINT NOT NULL DEFAULT 0,
    cancel_requested BIGINT NOT NULL DEFAULT 0,
    lease_owner      TEXT,
    lease_expires_at BIGINT
);

-- The queue: what a worker looks for, and what the reaper looks for.
CREATE INDEX executions_pending ON executions (id) WHERE status = 'pending';
CREATE INDEX executions_leased ON executions (lease_expires_at) WHERE status = 'running';
-- Two runs never write one file at the same time.
CREATE UNIQUE INDEX executions_one_per_output ON executions (output_path) WHERE status IN ('pending', 'running');

CREATE TABLE notebooks (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    path          TEXT NOT NULL UNIQUE,
    title         TEXT NOT NULL DEFAULT '',
    description   TEXT NOT NULL DEFAULT '',
    username      TEXT,
    template_name TEXT,
    parameters    TEXT NOT NULL DEFAULT '{}',
    tags          TEXT NOT NULL DEFAULT '[]',
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL
);
