CREATE TABLE events (
    event_id    TEXT PRIMARY KEY NOT NULL,
    received_at TEXT NOT NULL,             -- UTC, microseconds
    call        TEXT NOT NULL,
    effect      TEXT NOT NULL,             -- allow, deny, or nothing where nobody asked
    rule        TEXT NOT NULL,
    name        TEXT NOT NULL,
    app         TEXT NOT NULL,
    addr        TEXT NOT NULL,
    clientid    TEXT NOT NULL,
    bytes_in    BIGINT,
    bytes_out   BIGINT,
    custom      TEXT NOT NULL              -- a JSON object
) WITHOUT ROWID;
CREATE INDEX events_received_at ON events (received_at);

CREATE TABLE sessions (
    session_id   TEXT PRIMARY KEY NOT NULL,
    kind         TEXT NOT NULL,            -- publish or play
    name         TEXT NOT NULL,
    app          TEXT NOT NULL,
    addr         TEXT NOT NULL,
    clientid     TEXT NOT NULL,
    started_at   TEXT NOT NULL,
    ended_at     TEXT,                     -- NULL while it goes on, as all that follows
    how_ended    TEXT,                     -- done, cut or timeout
    bytes_in     BIGINT,
    bytes_out    BIGINT,
    reconnects   BIGINT,
    peak_viewers BIGINT
) WITHOUT ROWID;
CREATE INDEX sessions_started_at ON sessions (started_at);

-- The sessions and what is reckoned from their times, to the millisecond; seconds is NULL while one
-- goes on. 2440587.5 is the Julian day of 1970. Other programs read the views, too: they use nothing
-- that SQLite 3.40 does not have.
CREATE VIEW session_times AS
SELECT session_id, kind, name, app, started_at, ended_at, how_ended, bytes_in, bytes_out, reconnects, peak_viewers,
       substr(started_at, 1, 10) AS day,
       substr(started_at, 1, 16) || ':00.000000Z' AS started_minute,
       substr(max(started_at, ended_at), 1, 16) || ':00.000000Z' AS ended_minute,
       round((julianday(started_at) - 2440587.5) * 86400, 3) AS started_s,
       round((max(julianday(started_at), julianday(coalesce(ended_at, 'now'))) - 2440587.5) * 86400, 3) AS until_s,
       round(max(0.0, julianday(ended_at) - julianday(started_at)) * 86400, 3) AS seconds
FROM sessions;
