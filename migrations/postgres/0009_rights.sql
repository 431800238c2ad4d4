-- What people may ask for of their account as a whole: that it goes, a copy of all of it, another address.

-- An account that its owner wants gone. No reference to the user: this row is the last thing of theirs to go, after the rows
-- and the folders, so that whatever ends in between is done again.
create table deletions (
    user_id     uuid        primary key,
    -- until then whoever signs in is asked whether they keep it
    due         timestamptz not null,
    -- when removing began, which nothing takes back
    begun_at    timestamptz,
    -- whoever removes it has it until then
    lease_until timestamptz,
    created_at  timestamptz not null default now()
);
create index deletions_due on deletions (due);

-- A sign-in that is proven in all its steps, and waits for an answer: is the account kept?
alter table challenges add column is_to_keep boolean not null default false;

-- Finds what a deletion leaves to be made nobody's.
create index email_outbox_recipient on email_outbox (lower(recipient));

-- A copy of everything that somebody has here, made behind their back and fetched by themselves.
create table exports (
    id          uuid        primary key,
    user_id     uuid        not null references users (id) on delete cascade,
    -- each try writes a file of its own
    attempts    smallint    not null default 0,
    -- whoever makes it has it until then
    lease_until timestamptz,
    ready_at    timestamptz,
    -- given up
    failed_at   timestamptz,
    bytes       bigint,
    -- of the archive, once it is ready; null: it is still to be made
    expires     timestamptz,
    created_at  timestamptz not null default now()
);
-- One at a time for each user.
create unique index exports_waiting on exports (user_id) where ready_at is null and failed_at is null;
create index exports_user on exports (user_id, created_at desc);

-- Another address for an account. It holds once both mailboxes have agreed, and the old one may take it back for a week.
create table email_changes (
    id               uuid        primary key,
    user_id          uuid        not null references users (id) on delete cascade,
    old_email        text        not null,
    new_email        text        not null,
    new_email_key    text        not null check (new_email_key = lower(new_email_key)),
    -- SHA-256 of each link's secret; nobody was ever told the new one's where the address is somebody else's
    old_hash         bytea       not null,
    new_hash         bytea       not null,
    undo_hash        bytea,
    old_confirmed_at timestamptz,
    new_confirmed_at timestamptz,
    done_at          timestamptz,
    -- called off, replaced, or undone
    ended_at         timestamptz,
    -- of the links
    expires          timestamptz not null,
    created_at       timestamptz not null default now()
);
create index email_changes_user on email_changes (user_id, created_at desc);
