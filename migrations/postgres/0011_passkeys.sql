-- Keys that a computer, a phone or a security key holds for its owner, and uses only once it has seen that it is them.
create table passkeys (
    user_id       uuid        not null references users (id) on delete cascade,
    id            uuid        not null,
    -- as its holder calls it
    credential_id bytea       not null unique,
    -- as its owner does
    name          text        not null,
    -- public key, counter, and whether it is copied to other devices, as the library writes them
    credential    jsonb       not null,
    created_at    timestamptz not null default now(),
    last_used     timestamptz,
    primary key (user_id, id)
);
