-- Who has signed up and not yet confirmed: there is no account before that.

-- +goose Up

CREATE TABLE sign_ups (
    hash      BYTEA NOT NULL PRIMARY KEY,
    email     TEXT NOT NULL, -- as given
    email_key TEXT NOT NULL, -- as compared
    created   BIGINT NOT NULL,
    expires   BIGINT NOT NULL
);
CREATE INDEX sign_ups_by_email ON sign_ups (email_key);
CREATE INDEX sign_ups_by_expiry ON sign_ups (expires);
