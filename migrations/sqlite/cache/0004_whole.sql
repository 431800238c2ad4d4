-- Up to where nothing is missing: a row that changed again while pages were read stands in the last of them alone.
-- `head` is the newest head that anything was read at.
alter table sync_state add column whole integer not null default 0;
alter table sync_state add column head integer not null default 0;
update sync_state set whole = cursor, head = cursor where list_more is null;
