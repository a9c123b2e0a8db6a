-- A row for each minute in which somebody began or ceased to watch; between two the number
-- stays as it was. viewers are all who watched in that minute, came and went are of it.
CREATE VIEW viewers_by_minute AS
WITH changes AS (
    SELECT started_minute AS minute, name, app, 1 AS came, 0 AS went FROM session_times WHERE kind = 'play'
    UNION ALL
    SELECT ended_minute, name, app, 0, 1 FROM session_times WHERE kind = 'play' AND ended_at IS NOT NULL
), minutes AS (
    SELECT minute, name, app, sum(came) AS came, sum(went) AS went FROM changes GROUP BY minute, name, app
)
SELECT minute, name, app,
       CAST(came + coalesce(sum(came - went) OVER (
           PARTITION BY name, app ORDER BY minute ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS BIGINT) AS viewers,
       came, went
FROM minutes;

-- What has ended, by the day (UTC) on which it began: watch_seconds and bytes_out of the players,
-- bytes_in of the publishers.
CREATE VIEW watch_by_day AS
SELECT day, name, app,
       count(CASE WHEN kind = 'play' THEN 1 END) AS plays,
       coalesce(sum(CASE WHEN kind = 'play' THEN seconds END), 0) AS watch_seconds,
       CAST(coalesce(sum(CASE WHEN kind = 'publish' THEN bytes_in END), 0) AS BIGINT) AS bytes_in,
       CAST(coalesce(sum(CASE WHEN kind = 'play' THEN bytes_out END), 0) AS BIGINT) AS bytes_out
FROM session_times WHERE ended_at IS NOT NULL
GROUP BY day, name, app;

-- The same of all days, the most watched first.
CREATE VIEW top_streams AS
SELECT name, app,
       count(CASE WHEN kind = 'play' THEN 1 END) AS plays,
       coalesce(sum(CASE WHEN kind = 'play' THEN seconds END), 0) AS watch_seconds,
       CAST(coalesce(sum(CASE WHEN kind = 'play' THEN bytes_out END), 0) AS BIGINT) AS bytes_out,
       coalesce(max(peak_viewers), 0) AS peak_viewers
FROM session_times
GROUP BY name, app
ORDER BY 4 DESC, plays DESC, name, app;

CREATE VIEW refusals AS
SELECT rule, addr, call, count(*) AS refused, min(received_at) AS first_at, max(received_at) AS last_at
FROM events WHERE effect = 'deny'
GROUP BY rule, addr, call;

-- How long a stream was live between its first publish and its last moment, publishes at the same
-- time counted once. lost are those whose end nobody told.
CREATE VIEW publish_uptime AS
WITH reached AS (
    SELECT name, app, started_s, until_s, reconnects, how_ended,
           max(until_s) OVER (PARTITION BY name, app ORDER BY started_s, until_s, session_id
               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before_s
    FROM session_times WHERE kind = 'publish'
), live AS (
    SELECT name, app, started_s, until_s, reconnects, how_ended,
           CASE WHEN before_s IS NULL OR started_s >= before_s THEN until_s - started_s
                WHEN until_s > before_s THEN until_s - before_s ELSE 0.0 END AS seconds
    FROM reached
)
SELECT name, app, count(*) AS publishes, CAST(coalesce(sum(reconnects), 0) AS BIGINT) AS reconnects,
       count(CASE WHEN how_ended = 'timeout' THEN 1 END) AS lost,
       sum(seconds) AS live_seconds, max(until_s) - min(started_s) AS span_seconds,
       CASE WHEN max(until_s) > min(started_s) THEN sum(seconds) / (max(until_s) - min(started_s)) ELSE 1.0 END AS uptime
FROM live
GROUP BY name, app;
