-- outbox.db: what people wrote and the server has not accepted. Precious: later files only add.

create table outbox (
    n           integer primary key autoincrement,
    user_id     text    not null,
    mutation_id text    not null unique,
    lane        text    not null,                    -- the session: first in, first out in each
    kind        text    not null,
    body        text    not null check (json_valid(body)),
    op_version  integer not null,
    state       text    not null check (state in ('queued', 'inflight', 'acked', 'dead')),
    attempts    integer not null default 0,          -- how often it may have reached the server
    not_before  integer not null default 0,
    ack_seq     integer,                             -- accepted rows stay 14 days, to be sent again after a restore
    error       text,                                -- of a dead row: the problem, as JSON
    created_at  integer not null
) strict;
create index outbox_open on outbox (user_id, state, n);

-- Who writes here, and a sign-up that waits for its letter. Never a token.
create table device (
    key   text primary key,
    value text not null
) strict;
