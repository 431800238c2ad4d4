-- Only what is listed, and without `gone` in front: SQLite takes one that most rows have for one that few have, and read
-- all sessions for each page of them. The second is for reading archived ones and others in one order.
drop index sessions_recent;
create index sessions_recent on sessions (archived, last_active desc, id desc) where gone = 0 and seq > 0;
create index sessions_active on sessions (last_active desc, id desc) where gone = 0 and seq > 0;
