-- What started an execution (`workflow/3`, `sweep/4`, `schedule/5`), and which of its executions this is; and the results that
-- the notebook recorded, as a JSON object.
ALTER TABLE executions ADD COLUMN parent TEXT;
ALTER TABLE executions ADD COLUMN child TEXT;
ALTER TABLE executions ADD COLUMN results TEXT;
CREATE INDEX executions_by_parent ON executions (parent, id) WHERE parent IS NOT NULL;
-- Whatever dies, and however many servers there are: one of each.
CREATE UNIQUE INDEX executions_one_child ON executions (parent, child) WHERE parent IS NOT NULL;

-- Workflows and sweeps that run or have run. A sweep is a workflow of one step.
CREATE TABLE flows (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    kind             TEXT NOT NULL CHECK (kind IN ('workflow', 'sweep')),
    name             TEXT NOT NULL,
    username         TEXT,
    status           TEXT NOT NULL CHECK (status IN ('running', 'success', 'failed', 'cancelled')),
    definition       TEXT NOT NULL,
    -- What was asked for, in its own words: a sweep's parameters and method, a workflow's YAML.
    request          TEXT NOT NULL,
    parameters       TEXT NOT NULL DEFAULT '{}',
    output_directory TEXT NOT NULL,
    submitted_at     BIGINT NOT NULL,
    end_time         BIGINT,
    deadline         BIGINT,
    cancel_requested BIGINT NOT NULL DEFAULT 0,
    -- When it is to be looked at though nothing has ended: a retry is due.
    wake_at          BIGINT,
    error            TEXT,
    warnings         TEXT NOT NULL DEFAULT '[]',
    mlflow           TEXT,
    -- 1: its run in MLflow is still to be ended.
    mlflow_open      BIGINT NOT NULL DEFAULT 0,
    idempotency_key  TEXT UNIQUE,
    -- What started it, when that was a schedule (`schedule/5`), and at which of its times.
    parent           TEXT,
    child            TEXT,
    -- Changed first by whoever changes anything of a flow, so that they take turns.
    version          BIGINT NOT NULL DEFAULT 0
);

CREATE INDEX flows_by_parent ON flows (parent, id) WHERE parent IS NOT NULL;
-- Whatever dies, and however many servers there are: one of each.
CREATE UNIQUE INDEX flows_one_child ON flows (parent, child) WHERE parent IS NOT NULL;
CREATE INDEX flows_open ON flows (id) WHERE end_time IS NULL;
CREATE INDEX flows_tracked ON flows (id) WHERE mlflow_open = 1;
CREATE INDEX flows_ended ON flows (end_time) WHERE end_time IS NOT NULL;

-- A step of a flow. The counters are of its tasks; those that wait are what is left of `items`.
CREATE TABLE flow_steps (
    flow_id   BIGINT NOT NULL REFERENCES flows (id) ON DELETE CASCADE,
    position  BIGINT NOT NULL,
    name      TEXT NOT NULL,
    -- The items that were written out, as a JSON list: apart from the definition, which is read at every step forward.
    for_each  TEXT,
    status    TEXT NOT NULL CHECK (status IN ('pending', 'running', 'success', 'failed', 'cancelled', 'skipped')),
    items     BIGINT NOT NULL DEFAULT 0,
    running   BIGINT NOT NULL DEFAULT 0,
    success   BIGINT NOT NULL DEFAULT 0,
    failed    BIGINT NOT NULL DEFAULT 0,
    cancelled BIGINT NOT NULL DEFAULT 0,
    start_time BIGINT,
    end_time  BIGINT,
    error     TEXT,
    PRIMARY KEY (flow_id, position)
);

-- What a step does: one execution, or one for each item, and again when it is tried again.
CREATE TABLE flow_tasks (
    flow_id      BIGINT NOT NULL REFERENCES flows (id) ON DELETE CASCADE,
    step         BIGINT NOT NULL,
    item         BIGINT NOT NULL,
    status       TEXT NOT NULL CHECK (status IN ('pending', 'running', 'success', 'failed', 'cancelled')),
    parameters   TEXT NOT NULL,
    output_path  TEXT NOT NULL,
    attempts     BIGINT NOT NULL DEFAULT 0,
    -- How many of these were before it was last resumed: they do not count as tries.
    forgiven     BIGINT NOT NULL DEFAULT 0,
    execution_id BIGINT,
    retry_at     BIGINT,
    results      TEXT,
    error        TEXT,
    start_time   BIGINT,
    end_time     BIGINT,
    PRIMARY KEY (flow_id, step, item)
);

CREATE INDEX flow_tasks_pending ON flow_tasks (flow_id, step, item) WHERE status = 'pending';
CREATE INDEX flow_tasks_running ON flow_tasks (flow_id, step, item) WHERE status = 'running';
CREATE INDEX flow_tasks_retries ON flow_tasks (flow_id, retry_at) WHERE retry_at IS NOT NULL;
