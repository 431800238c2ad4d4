-- Whoever runs the server may act for a person; then their name stands beside what was done. Null: nobody did.
alter table audit_events add column operator text check (char_length(operator) between 1 and 100);
-- What was done, without what strangers tried: a person's own list stays short to read however much is tried.
create index audit_events_done on audit_events (user_id, at desc) where outcome = 'done';
-- Finds what is old enough to go.
create index audit_events_old on audit_events (outcome, at);
create index users_unproven on users (updated_at) where email_verified is null;
create index second_factors_begun on second_factors (created_at) where confirmed_at is null;

-- What signs access tokens. The first key follows from the server's secret, and has a row only once it is revoked.
create table signing_keys (
    -- as tokens name it (`kid`)
    id          text        primary key,
    -- the private half, sealed; null: it follows from the secret
    sealed      bytea,
    -- told of before, so that whoever checks tokens knows it by then
    active_from timestamptz not null,
    revoked_at  timestamptz,
    created_at  timestamptz not null default now()
);
