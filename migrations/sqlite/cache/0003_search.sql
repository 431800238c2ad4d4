-- Scripts without spaces are searched as well: what is indexed is the text with their characters kept apart, which
-- `segmented` does; the app gives every connection that function. The views are what the indexes read, and hold exactly
-- what may be found: finished, undeleted messages, and the titles of sessions that are there.
drop trigger messages_fts_insert;
drop trigger messages_fts_delete;
drop trigger messages_fts_leave;
drop trigger messages_fts_enter;
drop table messages_fts;

create view messages_text as
    select rowid as n, segmented(content) as content from messages where status >= 2 and deleted = 0;
create virtual table messages_fts using fts5 (
    content, content = 'messages_text', content_rowid = 'n', tokenize = "unicode61 remove_diacritics 2"
);
create trigger messages_fts_insert after insert on messages when new.status >= 2 and new.deleted = 0 begin
    insert into messages_fts (rowid, content) values (new.rowid, segmented(new.content));
end;
create trigger messages_fts_delete before delete on messages when old.status >= 2 and old.deleted = 0 begin
    insert into messages_fts (messages_fts, rowid, content) values ('delete', old.rowid, segmented(old.content));
end;
create trigger messages_fts_leave before update on messages when old.status >= 2 and old.deleted = 0 begin
    insert into messages_fts (messages_fts, rowid, content) values ('delete', old.rowid, segmented(old.content));
end;
create trigger messages_fts_enter after update on messages when new.status >= 2 and new.deleted = 0 begin
    insert into messages_fts (rowid, content) values (new.rowid, segmented(new.content));
end;

-- By the row's own number, which stays as long as nothing vacuums this file.
create view sessions_text as
    select rowid as n, segmented(title) as title from sessions where gone = 0 and seq > 0;
create virtual table sessions_fts using fts5 (
    title, content = 'sessions_text', content_rowid = 'n', tokenize = "unicode61 remove_diacritics 2"
);
create trigger sessions_fts_insert after insert on sessions when new.gone = 0 and new.seq > 0 begin
    insert into sessions_fts (rowid, title) values (new.rowid, segmented(new.title));
end;
create trigger sessions_fts_delete before delete on sessions when old.gone = 0 and old.seq > 0 begin
    insert into sessions_fts (sessions_fts, rowid, title) values ('delete', old.rowid, segmented(old.title));
end;
-- A session changes with every message in it, its title hardly ever.
create trigger sessions_fts_leave before update on sessions
when old.gone = 0 and old.seq > 0 and (new.gone = 1 or new.seq = 0 or new.title <> old.title) begin
    insert into sessions_fts (sessions_fts, rowid, title) values ('delete', old.rowid, segmented(old.title));
end;
create trigger sessions_fts_enter after update on sessions
when new.gone = 0 and new.seq > 0 and (old.gone = 1 or old.seq = 0 or new.title <> old.title) begin
    insert into sessions_fts (rowid, title) values (new.rowid, segmented(new.title));
end;

insert into messages_fts (messages_fts) values ('rebuild');
insert into sessions_fts (sessions_fts) values ('rebuild');
