-- What is to run at the times of a cron expression. Times are microseconds since 1970-01-01 UTC.
CREATE TABLE schedules (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    name          TEXT NOT NULL UNIQUE,
    cron          TEXT NOT NULL,
    time_zone     TEXT NOT NULL,
    catch_up      TEXT NOT NULL CHECK (catch_up IN ('none', 'last', 'all')),
    misfire_grace BIGINT NOT NULL,
    overlap       TEXT NOT NULL CHECK (overlap IN ('skip', 'queue', 'cancel', 'allow')),
    -- What is run, as JSON.
    target        TEXT NOT NULL,
    paused        BIGINT NOT NULL DEFAULT 0,
    next_run      BIGINT,
    -- The tick that waits for an earlier run to end.
    queued        BIGINT,
    skipped       BIGINT NOT NULL DEFAULT 0,
    last_error    TEXT,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    -- Changed by every change: of several servers that act on one state, one does.
    revision      BIGINT NOT NULL DEFAULT 0
);

CREATE INDEX schedules_due ON schedules (next_run) WHERE paused = 0;
CREATE INDEX schedules_queued ON schedules (id) WHERE paused = 0 AND queued IS NOT NULL;

-- What became of the last ticks of each schedule.
CREATE TABLE schedule_ticks (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    schedule_id    BIGINT NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
    scheduled_time BIGINT NOT NULL,
    manual         BIGINT NOT NULL,
    outcome        TEXT NOT NULL CHECK (outcome IN ('started', 'skipped', 'failed')),
    ticks          BIGINT NOT NULL,
    -- What was started, one of the three.
    execution_id   BIGINT,
    workflow_id    BIGINT,
    sweep_id       BIGINT,
    reason         TEXT,
    recorded_at    BIGINT NOT NULL
);

CREATE INDEX schedule_ticks_by_schedule ON schedule_ticks (schedule_id, id);
