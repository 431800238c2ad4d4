-- Roughly where a device signed in, in words, by its network's address then. Null: nobody knows.
alter table sessions add column place text;
