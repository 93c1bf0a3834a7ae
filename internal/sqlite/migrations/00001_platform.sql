-- The platform: accounts, keys, plans, signing in, usage. The tables of PostgreSQL
-- (../../postgres/migrations) are the same, column for column; a test compares them.
--
-- Times are microseconds since 1970 in UTC, 0 where there is none. Lists are JSON.
-- Identifiers are positive 63-bit numbers.

-- +goose Up

-- "revision": of the last change to an account, a key or a plan.
-- "floor": deletions up to this revision are forgotten.
-- "audit": the last number of the audit log.
CREATE TABLE counters (
    name  TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT;
INSERT INTO counters (name, value) VALUES ('revision', 0), ('floor', 0), ('audit', 0);

CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE plans (
    name         TEXT NOT NULL PRIMARY KEY,
    title        TEXT NOT NULL,
    per_day      INTEGER NOT NULL,
    per_month    INTEGER NOT NULL,
    per_second   INTEGER NOT NULL,
    burst        INTEGER NOT NULL,
    fields       TEXT NOT NULL, -- '' is all
    bulk         INTEGER NOT NULL,
    quota_window INTEGER NOT NULL,
    upgrade      TEXT NOT NULL,
    revision     INTEGER NOT NULL
) STRICT;
CREATE INDEX plans_by_revision ON plans (revision);

CREATE TABLE accounts (
    id        INTEGER NOT NULL PRIMARY KEY,
    email     TEXT NOT NULL, -- as given; '' when the account is deleted
    email_key TEXT NOT NULL, -- as compared
    verified  INTEGER NOT NULL,
    status    INTEGER NOT NULL,
    plan      TEXT NOT NULL, -- plans.name; of a deleted account it may be gone
    plan_from INTEGER NOT NULL,
    created   INTEGER NOT NULL,
    revision  INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX accounts_by_email ON accounts (email_key) WHERE email_key <> '';
CREATE INDEX accounts_by_revision ON accounts (revision);
CREATE INDEX accounts_by_plan ON accounts (plan);
CREATE INDEX accounts_by_age ON accounts (created, id);

CREATE TABLE keys (
    id        INTEGER NOT NULL PRIMARY KEY,
    account   INTEGER NOT NULL REFERENCES accounts (id) DEFERRABLE INITIALLY DEFERRED,
    hash      BLOB NOT NULL, -- keyed: the text of a key is nowhere
    hint      TEXT NOT NULL,
    kind      INTEGER NOT NULL,
    mode      INTEGER NOT NULL,
    name      TEXT NOT NULL,
    tags      TEXT NOT NULL,
    scopes    TEXT NOT NULL,
    networks  TEXT NOT NULL,
    origins   TEXT NOT NULL,
    endpoints TEXT NOT NULL,
    limits    TEXT NOT NULL,
    created   INTEGER NOT NULL,
    expires   INTEGER NOT NULL,
    revoked   INTEGER NOT NULL,
    replaces  INTEGER NOT NULL,
    revision  INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX keys_by_hash ON keys (hash);
CREATE INDEX keys_by_account ON keys (account, id);
CREATE INDEX keys_by_revision ON keys (revision);

-- What is gone, so that who follows the changes hears of it. Accounts stay.
CREATE TABLE deletions (
    revision INTEGER NOT NULL PRIMARY KEY,
    kind     TEXT NOT NULL, -- key, plan
    id       INTEGER NOT NULL,
    hash     BLOB NOT NULL, -- of a key
    name     TEXT NOT NULL, -- of a plan
    at       INTEGER NOT NULL
) STRICT;

CREATE TABLE audit (
    id      INTEGER NOT NULL PRIMARY KEY,
    at      INTEGER NOT NULL,
    account INTEGER NOT NULL, -- 0 is nobody's: plans
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail  TEXT NOT NULL,
    address TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_account ON audit (account, id);

-- Signing in. Of everything that opens a door only a hash is kept.
CREATE TABLE credentials (
    account  INTEGER NOT NULL PRIMARY KEY REFERENCES accounts (id) DEFERRABLE INITIALLY DEFERRED,
    password TEXT NOT NULL, -- argon2id, with its parameters
    changed  INTEGER NOT NULL
) STRICT;

CREATE TABLE totp (
    account   INTEGER NOT NULL PRIMARY KEY REFERENCES accounts (id) DEFERRABLE INITIALLY DEFERRED,
    secret    BLOB NOT NULL, -- sealed with the key of secrets/
    created   INTEGER NOT NULL,
    confirmed INTEGER NOT NULL,
    last_step INTEGER NOT NULL -- a code counts once
) STRICT;

CREATE TABLE recovery_codes (
    account INTEGER NOT NULL REFERENCES accounts (id) DEFERRABLE INITIALLY DEFERRED,
    hash    BLOB NOT NULL,
    created INTEGER NOT NULL,
    used    INTEGER NOT NULL,
    PRIMARY KEY (account, hash)
) STRICT;

CREATE TABLE sessions (
    hash    BLOB NOT NULL PRIMARY KEY,
    id      INTEGER NOT NULL, -- by which its owner ends it
    account INTEGER NOT NULL REFERENCES accounts (id) DEFERRABLE INITIALLY DEFERRED,
    created INTEGER NOT NULL,
    seen    INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    factor  INTEGER NOT NULL, -- when the second factor was shown
    address TEXT NOT NULL,
    agent   TEXT NOT NULL
) STRICT;
CREATE INDEX sessions_by_account ON sessions (account);
CREATE INDEX sessions_by_expiry ON sessions (expires);

CREATE TABLE devices (
    hash    BLOB NOT NULL PRIMARY KEY,
    id      INTEGER NOT NULL,
    account INTEGER NOT NULL REFERENCES accounts (id) DEFERRABLE INITIALLY DEFERRED,
    name    TEXT NOT NULL,
    created INTEGER NOT NULL,
    seen    INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
CREATE INDEX devices_by_account ON devices (account);
CREATE INDEX devices_by_expiry ON devices (expires);

CREATE TABLE mail_tokens (
    hash    BLOB NOT NULL PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES accounts (id) DEFERRABLE INITIALLY DEFERRED,
    purpose TEXT NOT NULL, -- confirm, reset, change
    email   TEXT NOT NULL, -- where it was sent
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    used    INTEGER NOT NULL
) STRICT;
CREATE INDEX mail_tokens_by_account ON mail_tokens (account);
CREATE INDEX mail_tokens_by_expiry ON mail_tokens (expires);

-- Usage: sums by hour (hours since 1970 in UTC), and how far each node's batches
-- are in them. An aggregator commits both in one transaction. aggregator is '' when
-- one alone writes; api_key and account are 2^63-1 for who asks without a key.
CREATE TABLE usage_hours (
    aggregator TEXT NOT NULL,
    api_key    INTEGER NOT NULL,
    hour       INTEGER NOT NULL,
    endpoint   INTEGER NOT NULL,
    class      INTEGER NOT NULL,
    region     TEXT NOT NULL,
    account    INTEGER NOT NULL,
    n          INTEGER NOT NULL,
    PRIMARY KEY (aggregator, api_key, hour, endpoint, class, region)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_hours_by_account ON usage_hours (aggregator, account, hour);
CREATE INDEX usage_hours_by_hour ON usage_hours (aggregator, hour);

CREATE TABLE usage_watermarks (
    aggregator TEXT NOT NULL,
    node       TEXT NOT NULL,
    region     TEXT NOT NULL,
    sequence   INTEGER NOT NULL, -- all batches up to this one are in the sums
    at         INTEGER NOT NULL,
    PRIMARY KEY (aggregator, node)
) STRICT, WITHOUT ROWID;

-- Which alerts were sent: once per account, plan that it got at plan_from, period
-- (day, month), span (its first hour) and threshold (percent).
CREATE TABLE alerts (
    account   INTEGER NOT NULL,
    plan_from INTEGER NOT NULL,
    period    INTEGER NOT NULL,
    span      INTEGER NOT NULL,
    threshold INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    PRIMARY KEY (account, plan_from, period, span, threshold)
) STRICT, WITHOUT ROWID;
