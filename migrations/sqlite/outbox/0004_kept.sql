-- Sessions that somebody wants to stay on this computer, all of each. Here and not in the cache: a wish is nothing that the
-- server could bring back.

create table kept (
    user_id text not null,
    session text not null,
    primary key (user_id, session)
) strict, without rowid;
