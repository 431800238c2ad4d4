-- What is being written and not sent yet.

create table drafts (
    n       integer primary key,                     -- what changed last has the greatest
    user_id text    not null,
    session text    not null,                        -- empty: it would begin one
    text    text    not null,
    unique (user_id, session)
) strict;
