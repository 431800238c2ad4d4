-- cache.db: the server's rows as this device has them. Disposable: on any doubt it is thrown away and loaded afresh.

-- Where the device stands. One row; no row: it has to begin.
create table sync_state (
    id        integer primary key check (id = 1),
    user_id   text    not null,
    epoch     text    not null,
    cursor    integer not null,
    list_more text                                   -- where the list goes on at the server; null: it is whole
) strict;

create table sessions (
    id          text    primary key,
    seq         integer not null,                    -- 0: a stub, its messages came before its row
    title       text    not null default '',
    title_seq   integer not null default 0,
    archived    integer not null default 0 check (archived in (0, 1)),
    last_ord    integer not null default 0,
    preview     text    not null default '',
    running     integer not null default 0 check (running in (0, 1)),
    last_active integer not null default 0,
    created_at  integer not null default 0,
    gone        integer not null default 0 check (gone in (0, 1))   -- deleted; never comes back
) strict;
create index sessions_recent on sessions (gone, archived, last_active desc, id desc);

create table messages (
    rowid      integer primary key,
    id         text    not null unique,
    session_id text    not null references sessions (id) on delete cascade,
    ord        integer not null,
    seq        integer not null,
    parent_id  text,
    role       text    not null,
    status     integer not null,
    run_id     text,
    content    text    not null,
    metadata   text    not null default 'null' check (json_valid(metadata)),
    created_at integer not null,
    deleted    integer not null default 0 check (deleted in (0, 1)),
    unique (session_id, ord)
) strict;

-- The stretches of a session that are here; everything else is a known gap.
create table message_ranges (
    session_id text    not null references sessions (id) on delete cascade,
    lo         integer not null,
    hi         integer not null check (hi >= lo),
    primary key (session_id, lo)
) strict, without rowid;

-- The text of replies being made, so that a restart shows what was said so far.
create table runs (
    run_id     text    primary key,
    message_id text    not null,
    session_id text    not null,
    attempt    integer not null,
    idx        integer not null,
    body       text    not null
) strict;

-- Finished, undeleted messages only: a text that still grows is not worth indexing with every word.
create virtual table messages_fts using fts5 (
    content, content = 'messages', content_rowid = 'rowid', tokenize = "unicode61 remove_diacritics 2"
);
create trigger messages_fts_insert after insert on messages when new.status >= 2 and new.deleted = 0 begin
    insert into messages_fts (rowid, content) values (new.rowid, new.content);
end;
create trigger messages_fts_delete before delete on messages when old.status >= 2 and old.deleted = 0 begin
    insert into messages_fts (messages_fts, rowid, content) values ('delete', old.rowid, old.content);
end;
create trigger messages_fts_leave before update on messages when old.status >= 2 and old.deleted = 0 begin
    insert into messages_fts (messages_fts, rowid, content) values ('delete', old.rowid, old.content);
end;
create trigger messages_fts_enter after update on messages when new.status >= 2 and new.deleted = 0 begin
    insert into messages_fts (rowid, content) values (new.rowid, new.content);
end;
