-- A second step at sign-in: a code from an authenticator app, or one of ten written down.
create table second_factors (
    user_id      uuid        primary key references users (id) on delete cascade,
    -- the shared secret (RFC 6238), sealed with a key of the server's
    secret       bytea       not null,
    -- null: begun, and no code was given yet; it asks nothing of anybody
    confirmed_at timestamptz,
    -- the newest time step that was used: a code works once
    last_step    bigint      not null default 0,
    created_at   timestamptz not null default now()
);

-- Only hashes are kept; the first four characters find the one to compare with.
create table recovery_codes (
    -- they end with the second step that they stand in for
    user_id  uuid        not null references second_factors (user_id) on delete cascade,
    selector text        not null,
    hash     text        not null,
    used_at  timestamptz,
    primary key (user_id, selector)
);

-- Somebody who proved the first step and not yet the second. No device, and good for nothing else.
create table challenges (
    -- SHA-256 of what the client holds
    secret_hash bytea       primary key,
    user_id     uuid        not null references users (id) on delete cascade,
    -- how the first step was proven, by what kind of client, and which identity at a provider is linked once both are
    method      text        not null,
    client      jsonb       not null,
    link        jsonb,
    attempts    smallint    not null default 0,
    expires     timestamptz not null,
    consumed_at timestamptz,
    created_at  timestamptz not null default now()
);
create index challenges_user on challenges (user_id);
create index challenges_expires on challenges (expires);

-- When a browser's person last proved who they are; null: never here.
alter table sessions add column proven_at timestamptz;
