-- The index that there is leaves out revoked devices, so deleting a user read the whole table to find the rest of theirs.
-- Not built concurrently: several nodes may start at once, and the one that builds would wait for those that wait for it.
create index sessions_of_user on sessions (user_id);
