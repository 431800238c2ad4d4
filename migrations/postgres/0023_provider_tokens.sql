-- What a provider gave that has to be taken back there once its identity is nobody's here any more: Apple's refresh tokens,
-- sealed. However an identity goes, its token stays behind in that very transaction, and from then on it says no more whose it was.
create table provider_tokens (
    -- drawn with the token, which opens under it alone
    id         uuid        primary key,
    -- null: the identity is gone, and the token waits to be taken back
    account_id uuid        unique references accounts (id) on delete set null,
    -- as accounts.provider
    provider   text        not null,
    token      bytea       not null,
    tries      smallint    not null default 0,
    -- no node tries before this
    not_before timestamptz not null default now(),
    -- when it was first tried to be taken back
    begun_at   timestamptz
);
create index provider_tokens_due on provider_tokens (not_before) where account_id is null;
