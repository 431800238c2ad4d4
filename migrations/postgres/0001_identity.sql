-- Who people are and how they get in.

create table users (
    id             uuid        primary key default gen_random_uuid(),
    email          text        not null,
    -- lower case; what is unique
    email_key      text        not null unique check (email_key = lower(email_key)),
    name           text        check (char_length(name) <= 255),
    avatar_url     text,
    email_verified timestamptz,
    -- PHC string (argon2id); null for people without a password
    password_hash  text,
    disabled_at    timestamptz,
    created_at     timestamptz not null default now(),
    updated_at     timestamptz not null default now()
);

-- One linked identity at a provider. No provider token is kept: nothing here acts for people there.
create table accounts (
    id                  uuid        primary key default gen_random_uuid(),
    user_id             uuid        not null references users (id) on delete cascade,
    provider            text        not null,
    provider_account_id text        not null check (char_length(provider_account_id) <= 255),
    -- the address that the provider named at the last sign-in, for the settings page
    email               text,
    created_at          timestamptz not null default now(),
    unique (provider, provider_account_id)
);
create index accounts_user on accounts (user_id);

-- A device: one signed-in client. A browser is known by its cookie's hash; a native client by its refresh generation.
create table sessions (
    id               uuid        primary key,
    user_id          uuid        not null references users (id) on delete cascade,
    kind             smallint    not null check (kind in (0, 1)), -- 0 browser, 1 native
    -- SHA-256 of the cookie, hex; a native device has 'native:' and its id, since it presents no such token
    session_token    text        not null unique,
    name             text        not null,
    os               text        not null default '',
    version          text        not null default '',
    -- 32 random bytes; refresh tokens are re-derived from it and the server's secret, so none is stored
    refresh_salt     bytea,
    gen              bigint      not null default 0,
    gen_rotated_at   timestamptz not null default now(),
    -- when the current generation was first used; null: its answer may have been lost
    gen_seen_at      timestamptz,
    dpop_jkt         text,
    expires          timestamptz not null,
    absolute_expires timestamptz not null,
    last_active      timestamptz not null default now(),
    revoked_at       timestamptz,
    revoke_reason    text,
    created_at       timestamptz not null default now(),
    check ((kind = 1) = (refresh_salt is not null))
);
create index sessions_user on sessions (user_id, last_active desc) where revoked_at is null;

-- Every mailed one-time token. Only hashes are kept.
create table verification_tokens (
    id           uuid        primary key,
    purpose      text        not null check (purpose in ('verify')),
    -- the address it was mailed to, as users.email_key
    identifier   text        not null,
    user_id      uuid        references users (id) on delete cascade,
    -- SHA-256 of the link's secret
    token        bytea       not null unique,
    -- keyed hash over this row's id and the typed code
    code_hash    bytea       not null,
    -- SHA-256 of what the asking window holds
    binding_hash bytea       not null,
    -- what that sign-up chose; it becomes the user's only when the address is confirmed by this very row
    candidate_hash text,
    candidate_name text      check (char_length(candidate_name) <= 255),
    attempts     smallint    not null default 0,
    expires      timestamptz not null,
    consumed_at  timestamptz,
    created_at   timestamptz not null default now()
);
create index verification_tokens_identifier on verification_tokens (identifier, purpose, created_at desc);
create index verification_tokens_user on verification_tokens (user_id);

-- Authorization codes for the native app: one use, 60 seconds.
create table oauth_codes (
    code_hash      bytea       primary key,
    user_id        uuid        not null references users (id) on delete cascade,
    code_challenge text        not null,
    redirect_uri   text        not null,
    client         jsonb       not null,
    expires        timestamptz not null,
    consumed_at    timestamptz,
    -- what it was redeemed for: a replay signs that device out
    device_id      uuid        references sessions (id) on delete set null,
    created_at     timestamptz not null default now()
);
create index oauth_codes_user on oauth_codes (user_id);
create index oauth_codes_device on oauth_codes (device_id);
create index oauth_codes_expires on oauth_codes (expires);

-- Letters leave by this table, written in the transaction that wants them sent.
create table email_outbox (
    id         uuid        primary key,
    user_id    uuid        references users (id) on delete cascade,
    recipient  text        not null,
    template   text        not null,
    -- what the template needs; wiped once sent, since it holds the one-time link
    context    jsonb       not null,
    attempts   smallint    not null default 0,
    not_before timestamptz not null default now(),
    sent_at    timestamptz,
    failed_at  timestamptz,
    error      text,
    created_at timestamptz not null default now()
);
create index email_outbox_due on email_outbox (not_before) where sent_at is null and failed_at is null;
create index email_outbox_user on email_outbox (user_id);

-- What happened at the door, refusals too. Append-only.
create table audit_events (
    id         bigint      generated always as identity primary key,
    at         timestamptz not null default now(),
    user_id    uuid,
    device_id  uuid,
    event      text        not null,
    outcome    text        not null,
    reason     text,
    -- network prefix, not the address
    ip_prefix  text,
    request_id text
);
create index audit_events_user on audit_events (user_id, at desc);
