-- alerts.at is when an alert was told. It is negative while it is not: then it is the
-- moment at which somebody undertook to tell it.

-- +goose Up
CREATE INDEX alerts_untold ON alerts (at) WHERE at < 0;
