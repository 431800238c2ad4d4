-- Signing in where no browser is: the program holds one code, a person types the other (RFC 8628).
create table device_codes (
    device_code_hash bytea       primary key,
    user_code_hash   bytea       not null unique,
    -- what the program says of itself, and the network it asked from
    client           jsonb       not null,
    asked_from       text        not null,
    -- the browser whose person looked first, and alone may answer
    claimed_by       uuid        references sessions (id) on delete cascade,
    user_id          uuid        references users (id) on delete cascade,
    is_allowed       boolean,
    polled_at        timestamptz,
    -- seconds between two questions
    pause            int         not null,
    created_at       timestamptz not null default now(),
    expires          timestamptz not null,
    check ((claimed_by is null) = (user_id is null)),
    check (is_allowed is null or claimed_by is not null)
);
create index device_codes_expires on device_codes (expires);
create index device_codes_claimed_by on device_codes (claimed_by);
create index device_codes_user on device_codes (user_id);
