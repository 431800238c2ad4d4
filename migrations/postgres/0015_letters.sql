-- Addresses that refused a letter for good, or that the operator wants left alone. In lower case, as users.email_key.
create table suppressions (
    address     text        primary key check (address = lower(address)),
    reason      text        not null check (reason in ('refused', 'operator')),
    -- refusals in a row
    refusals    int         not null default 0,
    -- until then not even a letter about safety is tried; null: until it is released
    quiet_until timestamptz,
    -- what the mail server said, as a code
    said        text,
    changed_at  timestamptz not null default now(),
    check ((reason = 'operator') = (quiet_until is null))
);

-- Which letters somebody wants of those that can be turned off. No row: all.
create table letter_choices (
    user_id     uuid        primary key references users (id) on delete cascade,
    -- no tips since then; null: they are welcome
    tips_off_at timestamptz,
    -- when the first steps were told
    tips_at     timestamptz
);

-- Who joined lately is looked for each hour.
create index users_joined on users (email_verified) where email_verified is not null;
