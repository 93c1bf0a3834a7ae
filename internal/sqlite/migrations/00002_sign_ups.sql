-- Who has signed up and not yet confirmed: there is no account before that.

-- +goose Up

CREATE TABLE sign_ups (
    hash      BLOB NOT NULL PRIMARY KEY,
    email     TEXT NOT NULL, -- as given
    email_key TEXT NOT NULL, -- as compared
    created   INTEGER NOT NULL,
    expires   INTEGER NOT NULL
) STRICT;
CREATE INDEX sign_ups_by_email ON sign_ups (email_key);
CREATE INDEX sign_ups_by_expiry ON sign_ups (expires);
