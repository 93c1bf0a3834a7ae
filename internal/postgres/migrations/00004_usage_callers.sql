-- Usage by client address and by the host of the page that asked, of a day (days since
-- 1970 in UTC), of all regions. How far they are stands in usage_watermarks, under a
-- name of their own. kind is 0 for clients and 1 for hosts.

-- +goose Up
CREATE TABLE usage_callers (
    aggregator TEXT NOT NULL,
    day        BIGINT NOT NULL,
    kind       BIGINT NOT NULL,
    name       TEXT NOT NULL,
    n          BIGINT NOT NULL,
    PRIMARY KEY (aggregator, day, kind, name)
);
