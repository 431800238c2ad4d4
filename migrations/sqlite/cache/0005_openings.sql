-- The sessions that a person has opened here, the last one with the greatest number: where room ends, what was opened
-- longest ago is given up first. Counted and not timed, so that no clock decides. A fresh start leaves it alone.
create table openings (
    session_id text    primary key,
    n          integer not null
) strict, without rowid;
create index openings_last on openings (n);
