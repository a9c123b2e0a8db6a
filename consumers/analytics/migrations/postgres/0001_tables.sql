CREATE TABLE events (
    event_id    TEXT PRIMARY KEY,
    received_at TIMESTAMPTZ NOT NULL,
    call        TEXT NOT NULL,
    effect      TEXT NOT NULL,             -- allow, deny, or nothing where nobody asked
    rule        TEXT NOT NULL,
    name        TEXT NOT NULL,
    app         TEXT NOT NULL,
    addr        TEXT NOT NULL,
    clientid    TEXT NOT NULL,
    bytes_in    BIGINT,
    bytes_out   BIGINT,
    custom      JSONB NOT NULL
);
CREATE INDEX events_received_at ON events (received_at);

CREATE TABLE sessions (
    session_id   TEXT PRIMARY KEY,
    kind         TEXT NOT NULL,            -- publish or play
    name         TEXT NOT NULL,
    app          TEXT NOT NULL,
    addr         TEXT NOT NULL,
    clientid     TEXT NOT NULL,
    started_at   TIMESTAMPTZ NOT NULL,
    ended_at     TIMESTAMPTZ,              -- NULL while it goes on, as all that follows
    how_ended    TEXT,                     -- done, cut or timeout
    bytes_in     BIGINT,
    bytes_out    BIGINT,
    reconnects   BIGINT,
    peak_viewers BIGINT
);
CREATE INDEX sessions_started_at ON sessions (started_at);

-- The sessions and what is reckoned from their times; seconds is NULL while one goes on.
CREATE VIEW session_times AS
SELECT session_id, kind, name, app, started_at, ended_at, how_ended, bytes_in, bytes_out, reconnects, peak_viewers,
       to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day,
       date_trunc('minute', started_at, 'UTC') AS started_minute,
       CASE WHEN ended_at IS NOT NULL THEN date_trunc('minute', greatest(started_at, ended_at), 'UTC') END AS ended_minute,
       extract(epoch FROM started_at)::float8 AS started_s,
       extract(epoch FROM greatest(started_at, coalesce(ended_at, now())))::float8 AS until_s,
       CASE WHEN ended_at IS NOT NULL THEN greatest(0, extract(epoch FROM ended_at - started_at))::float8 END AS seconds
FROM sessions;
